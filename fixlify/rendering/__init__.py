"""Sandboxed templates, their variables and formats."""
