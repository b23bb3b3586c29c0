"""Which schedules there should be, from the registry, the zones in use and the automations."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from pydantic import ValidationError
from temporalio.client import ScheduleOverlapPolicy

from fixlify.domain.durations import format_duration
from fixlify.domain.problems import explain
from fixlify.domain.sweeps import Sweep, SweepKind
from fixlify.domain.timetable import Timetable, zone_problem
from fixlify.domain.triggers.scheduled import Scheduled
from fixlify.storage.schedules import ScheduledAutomation, UsedZone
from starter.schedules.calendars import explicit_dates
from starter.schedules.registry import DECLARATIONS, SHARED_ZONE, Declaration

# Changed when this program would write the same content differently; all are updated then.
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class DesiredSchedule:
    """One schedule as it should be.

    ``paused`` is True while its automation is paused; what an operator pauses is not in here.
    ``dates`` are what the calendars leave out.
    """

    sweep: Sweep
    name: str
    organization_id: UUID | None
    timetable: Timetable
    time_zone: str
    catch_up: timedelta
    overlap: ScheduleOverlapPolicy
    jitter: timedelta | None
    paused: bool
    dates: tuple[datetime, ...]

    @property
    def id(self) -> str:
        """The id in Temporal."""
        return self.sweep.schedule_id

    @property
    def specification(self) -> dict[str, Any]:
        """Everything that Temporal is told, as JSON; the same content gives the same JSON."""
        return {
            "format": _FORMAT,
            "name": self.name,
            "sweep": self.sweep.model_dump(mode="json"),
            "organization_id": str(self.organization_id) if self.organization_id else None,
            "timetable": self.timetable.model_dump(mode="json", exclude_defaults=True),
            "time_zone": self.time_zone,
            "catch_up": format_duration(self.catch_up),
            "overlap": self.overlap.name.lower(),
            "jitter": format_duration(self.jitter) if self.jitter else None,
            "dates": [date.isoformat(timespec="minutes") for date in self.dates],
        }

    @property
    def digest(self) -> str:
        """The hash of the specification; what Temporal has is compared by it."""
        canonical = json.dumps(self.specification, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:32]

    @property
    def content_hash(self) -> str:
        """The digest, and whether the automation is paused: what the row is compared by."""
        return f"{self.digest}/paused" if self.paused else self.digest


@dataclass(frozen=True, slots=True)
class ScheduleProblem:
    """Why one schedule is not as it should be, and what to do; nothing personal."""

    schedule_id: str
    message: str

    def __str__(self) -> str:
        return f"{self.schedule_id}: {self.message}"


@dataclass(frozen=True, slots=True)
class Desired:
    """All of them. ``kept`` are ids of schedules to leave as they are; ``problems`` says why."""

    schedules: list[DesiredSchedule] = field(default_factory=list)
    kept: set[str] = field(default_factory=set)
    problems: list[ScheduleProblem] = field(default_factory=list)


def desired_schedules(
    zones: Iterable[UsedZone], automations: Iterable[ScheduledAutomation], now: datetime
) -> Desired:
    """Return what there should be; what cannot be read is a problem, never an error.

    Args:
        zones: The time zones that organizations have.
        automations: The active and paused ones that a clock sets off.
        now: Its year is the first whose dates are named.
    """
    desired = Desired()
    usable = list(_usable_zones(zones, desired))
    for declaration in DECLARATIONS.values():
        if declaration.timetable is not None:
            desired.schedules.extend(_shared(declaration, declaration.timetable, usable, now))
    for automation in automations:
        schedule_id = f"{SweepKind.USER_SCHEDULE}/{automation.id}"
        try:
            desired.schedules.append(_of_automation(schedule_id, automation, now))
        except ValueError as error:
            desired.kept.add(schedule_id)
            desired.problems.append(ScheduleProblem(schedule_id, _words(error)))
    return desired


def _usable_zones(zones: Iterable[UsedZone], desired: Desired) -> Iterator[str]:
    for zone in zones:
        if (problem := zone_problem(zone.name)) is None:
            yield zone.name
            continue
        count = zone.organizations
        who = "one organization has it" if count == 1 else f"{count} organizations have it"
        for declaration in DECLARATIONS.values():
            if declaration.per_zone:
                schedule_id = f"{declaration.kind}/{zone.name}"
                desired.kept.add(schedule_id)
                desired.problems.append(
                    ScheduleProblem(schedule_id, f"{problem} ({who} in organizations.time_zone)")
                )


def _shared(
    declaration: Declaration, timetable: Timetable, zones: Sequence[str], now: datetime
) -> Iterator[DesiredSchedule]:
    if declaration.catch_up is None:
        raise ValueError(f"{declaration.kind} declares no catch-up window")
    for zone in zones if declaration.per_zone else [None]:
        schedule_id = f"{declaration.kind}/{zone}" if zone else declaration.kind.value
        time_zone = zone or SHARED_ZONE
        yield DesiredSchedule(
            sweep=Sweep(schedule_id=schedule_id, kind=declaration.kind, time_zone=zone),
            name=declaration.kind.value,
            organization_id=None,
            timetable=timetable,
            time_zone=time_zone,
            catch_up=declaration.catch_up,
            overlap=declaration.overlap,
            jitter=declaration.jitter,
            paused=False,
            dates=explicit_dates(timetable, time_zone, now.year),
        )


def _of_automation(
    schedule_id: str, automation: ScheduledAutomation, now: datetime
) -> DesiredSchedule:
    """Return the schedule of one automation.

    Raises:
        ValueError: Its trigger cannot be read, or its organization's zone is unknown.
    """
    config = automation.trigger_config
    if not isinstance(config, dict):
        raise ValueError("trigger_config is no JSON object")
    trigger = Scheduled.model_validate({**config, "type": "scheduled"})
    zone = trigger.time_zone or automation.organization_zone
    if (problem := zone_problem(zone)) is not None:
        raise ValueError(f"{problem} (organizations.time_zone)")
    timetable = trigger.timetable
    declaration = DECLARATIONS[SweepKind.USER_SCHEDULE]
    return DesiredSchedule(
        sweep=Sweep(
            schedule_id=schedule_id,
            kind=declaration.kind,
            automation_id=automation.id,
            # The shared ones look back by themselves, so for these late is better than never.
            catch_up=trigger.catch_up,
        ),
        name=automation.name,
        organization_id=automation.organization_id,
        timetable=timetable,
        time_zone=zone,
        catch_up=trigger.catch_up,
        overlap=declaration.overlap,
        jitter=declaration.jitter,
        paused=automation.paused,
        dates=explicit_dates(timetable, zone, now.year),
    )


def _words(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(map(str, explain(Scheduled, error)))
    return str(error)
