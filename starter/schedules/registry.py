"""Every schedule there is: when it runs, what happens after an outage, and why so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from temporalio.client import ScheduleOverlapPolicy

from fixlify.domain.sweeps import SweepKind
from fixlify.domain.timetable import Timetable

SHARED_ZONE: Final = "UTC"
"""The clock of what serves everybody at once."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """One kind of schedule, and the reasons for its settings.

    Attributes:
        timetable: When; None where each automation says it.
        catch_up: How late a run may begin after an outage; None where each automation says it.
        per_zone: One schedule for each time zone that an organization has, on its clock.
        why: The reason for each setting, by its name.
    """

    kind: SweepKind
    purpose: str
    timetable: Timetable | None
    catch_up: timedelta | None
    overlap: ScheduleOverlapPolicy
    jitter: timedelta | None
    per_zone: bool
    why: Mapping[str, str]


_ON_ITS_CLOCK: Final = (
    "One per time zone, not per organization: it follows the zone's clock changes, and a "
    "thousand organizations are a handful of schedules."
)
_STARTS_PER_SECOND: Final = (
    "Temporal starts at most 30 scheduled workflows a second; two minutes spread what falls on "
    "the full hour."
)
_ONE_IS_ENOUGH: Final = (
    "A sweep that still runs finds what the next would; a second beside it only costs."
)

DECLARATIONS: Final[Mapping[SweepKind, Declaration]] = MappingProxyType(
    {
        each.kind: each
        for each in (
            Declaration(
                kind=SweepKind.AUTOMATION_TRIGGERS,
                purpose="Finds jobs that went stale and visits to remind of.",
                timetable=Timetable(),
                catch_up=timedelta(minutes=1),
                overlap=ScheduleOverlapPolicy.SKIP,
                jitter=None,
                per_zone=False,
                why=MappingProxyType(
                    {
                        "timetable": "A reminder two hours before a visit may be a minute late.",
                        "catch_up": (
                            "The sweep itself looks back, so replaying the minutes of an outage "
                            "would find the same again."
                        ),
                        "overlap": _ONE_IS_ENOUGH,
                        "jitter": "There is one of it, so there is nothing to spread.",
                    }
                ),
            ),
            Declaration(
                kind=SweepKind.OVERDUE_INVOICES,
                purpose="Finds invoices that are overdue by a number of days a company asked for.",
                timetable=Timetable.daily(9, 0),
                catch_up=timedelta(hours=6),
                overlap=ScheduleOverlapPolicy.SKIP,
                jitter=timedelta(minutes=2),
                per_zone=True,
                why=MappingProxyType(
                    {
                        "timetable": f"When an office opens. {_ON_ITS_CLOCK}",
                        "catch_up": (
                            "Until the afternoon a reminder is still today's; after that "
                            "tomorrow's run finds the invoice."
                        ),
                        "overlap": _ONE_IS_ENOUGH,
                        "jitter": _STARTS_PER_SECOND,
                    }
                ),
            ),
            Declaration(
                kind=SweepKind.MAINTENANCE_REMINDERS,
                purpose="Finds clients whose last service is long ago and who have nothing booked.",
                timetable=Timetable.daily(8, 0),
                catch_up=timedelta(hours=6),
                overlap=ScheduleOverlapPolicy.SKIP,
                jitter=timedelta(minutes=2),
                per_zone=True,
                why=MappingProxyType(
                    {
                        "timetable": f"An hour before the invoices. {_ON_ITS_CLOCK}",
                        "catch_up": (
                            "Until the afternoon a reminder is still today's; after that "
                            "tomorrow's run finds the client."
                        ),
                        "overlap": _ONE_IS_ENOUGH,
                        "jitter": _STARTS_PER_SECOND,
                    }
                ),
            ),
            Declaration(
                kind=SweepKind.ANALYTICS,
                purpose="Recomputes the analytics of the days on which something ended.",
                timetable=Timetable(minutes=(5,)),
                catch_up=timedelta(hours=1),
                overlap=ScheduleOverlapPolicy.SKIP,
                jitter=None,
                per_zone=False,
                why=MappingProxyType(
                    {
                        "timetable": "Five minutes after the hour the past one has settled.",
                        "catch_up": (
                            "One run after an outage brings every day up to date; the hours "
                            "before it add nothing."
                        ),
                        "overlap": _ONE_IS_ENOUGH,
                        "jitter": "There is one of it, so there is nothing to spread.",
                    }
                ),
            ),
            Declaration(
                kind=SweepKind.USER_SCHEDULE,
                purpose="Runs one automation for its audience.",
                timetable=None,
                catch_up=None,
                overlap=ScheduleOverlapPolicy.BUFFER_ONE,
                jitter=None,
                per_zone=False,
                why=MappingProxyType(
                    {
                        "timetable": "The automation's trigger says when, and may name a zone.",
                        "catch_up": (
                            "The automation's trigger says how late a run may be; one hour where "
                            "it is silent."
                        ),
                        "overlap": (
                            "Each occurrence is one of its own, so the next waits for one that "
                            "still runs."
                        ),
                        "jitter": "A person chose the minute.",
                    }
                ),
            ),
        )
    }
)
"""All of them, in the order in which they are shown."""
