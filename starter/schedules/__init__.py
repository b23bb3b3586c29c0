"""Temporal Schedules: declared in one registry, kept in a table, reconciled to Temporal."""

from starter.schedules.keeper import ScheduleKeeper
from starter.schedules.reconcile import SyncResult, sync
from starter.schedules.registry import DECLARATIONS, Declaration

__all__ = ["DECLARATIONS", "Declaration", "ScheduleKeeper", "SyncResult", "sync"]
