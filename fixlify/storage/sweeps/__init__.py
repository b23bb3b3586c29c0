"""Sweeps: finding what fell due, page by page, and recording one event for each occurrence."""

from fixlify.storage.sweeps.pages import PAGE_SIZE
from fixlify.storage.sweeps.sweeping import sweep

__all__ = ["PAGE_SIZE", "sweep"]
