"""Timetables: times of a wall clock that come again, and the instants they are in a zone."""

from fixlify.domain.timetable.instants import Occurrence, last_occurrence, occurrences, unplanned
from fixlify.domain.timetable.recurrence import (
    MONTHS,
    MOST_DAYS,
    WEEKDAYS,
    Timetable,
    cron_line,
    describe,
)
from fixlify.domain.timetable.zones import zone_problem

__all__ = [
    "MONTHS",
    "MOST_DAYS",
    "WEEKDAYS",
    "Occurrence",
    "Timetable",
    "cron_line",
    "describe",
    "last_occurrence",
    "occurrences",
    "unplanned",
    "zone_problem",
]
