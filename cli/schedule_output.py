"""Schedules as people read them, and as programs do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from rich.padding import Padding
from rich.text import Text

from cli.listing import STYLES, Column, Line, print_listing
from cli.output import console, counted, elapsed, local, local_zone, printable
from fixlify.domain.sweeps import SweepKind
from fixlify.domain.timetable import Timetable, describe
from fixlify.storage.schedules import PastRun, ScheduleHistory, StoredSchedule
from starter.schedules import DECLARATIONS, Declaration, SyncResult
from starter.schedules.steering import LiveSchedule

_COLUMNS: Final = (
    Column("SCHEDULE", shrinks=True),
    Column("NEXT RUN"),
    Column("LAST RUN"),
    Column("RESULT"),
)
_RUNS: Final = (
    Column("STARTED"),
    Column("DUE"),
    Column("RESULT"),
    Column("TOOK", right=True),
    Column("LOOKED AT", right=True),
    Column("FOUND", right=True),
)
_MARKS: Final = {"completed": "█", "failed": "▁", "running": "░"}


@dataclass(frozen=True, slots=True)
class Seen:
    """One schedule with everything known of it.

    ``live`` is None where Temporal does not have it; ``asked`` is False where Temporal was away.
    """

    stored: StoredSchedule
    history: ScheduleHistory
    live: LiveSchedule | None
    asked: bool

    @property
    def words(self) -> str:
        """When it runs, as a person says it."""
        return describe(Timetable.model_validate(self.stored.specification["timetable"]))

    @property
    def active(self) -> bool:
        """Whether it runs by itself."""
        return not self.live.paused if self.live else self.stored.active

    @property
    def paused_reason(self) -> str | None:
        """Why it does not."""
        if self.active:
            return None
        return self.live.note if self.live else self.stored.paused_reason

    @property
    def next_run(self) -> datetime | None:
        """When it runs next: as Temporal says, else as last known; None while it is paused."""
        if not self.active:
            return None
        if self.asked:
            return self.live.next_runs[0] if self.live and self.live.next_runs else None
        return self.stored.next_run_at

    @property
    def problem(self) -> str | None:
        """What is wrong with it."""
        if self.asked and self.live is None:
            return self.stored.problem or "not in Temporal; `fixlify schedules sync` makes it"
        return self.stored.problem

    @property
    def declaration(self) -> Declaration:
        """Its kind in the registry."""
        return DECLARATIONS[SweepKind(self.stored.id.partition("/")[0])]


def schedule_document(seen: Seen) -> dict[str, Any]:
    """Return one schedule for ``--json``."""
    stored, history = seen.stored, seen.history
    duration = history.average_duration
    return {
        "id": stored.id,
        "name": stored.name,
        "organization_id": stored.organization_id,
        "automation_id": stored.automation_id,
        "schedule": seen.words,
        "cron": stored.schedule,
        "time_zone": stored.time_zone,
        "catch_up": stored.catch_up,
        "overlap": stored.specification["overlap"],
        "jitter": stored.specification["jitter"],
        "active": seen.active,
        "paused_reason": seen.paused_reason,
        "next_run": seen.next_run,
        "next_run_from": "temporal" if seen.asked else "database",
        "last_run": history.last_run,
        "last_result": history.last_result,
        "runs": history.runs,
        "success_rate": history.success_rate,
        "average_duration_ms": None if duration is None else duration.total_seconds() * 1000,
        "problem": seen.problem,
        "synced_at": stored.synced_at,
    }


def detailed_document(seen: Seen, runs: Sequence[PastRun]) -> dict[str, Any]:
    """Return one schedule with its reasons and newest runs for ``--json``."""
    return schedule_document(seen) | {
        "purpose": seen.declaration.purpose,
        "why": dict(seen.declaration.why),
        "next_runs": list(seen.live.next_runs) if seen.live else [],
        "left_out": {"too_late": seen.live.too_late, "overlapping": seen.live.overlapping}
        if seen.live
        else None,
        "last_runs": [
            {
                "id": run.id,
                "scheduled_at": run.scheduled_at,
                "started_at": run.started_at,
                "finished_at": run.finished_at,
                "status": run.status,
                "looked_at": run.looked_at,
                "found": run.found,
                "error_message": run.error_message,
            }
            for run in runs
        ],
    }


def sync_document(result: SyncResult) -> dict[str, Any]:
    """Return what a sync did for ``--json``."""
    return {
        "created": result.created,
        "updated": result.updated,
        "paused": result.paused,
        "unpaused": result.unpaused,
        "deleted": result.deleted,
        "unchanged": result.unchanged,
        "problems": [{"id": each.schedule_id, "message": each.message} for each in result.problems],
    }


def print_schedules(schedules: Sequence[Seen]) -> None:
    """Print one line per schedule, and below it when it is due and how it does."""
    print_listing(console, _COLUMNS, [_line(each) for each in schedules])
    # Each is due by a clock of its own; the runs of all are told by one.
    _print(Text(f"\nNext and last runs by {_this_clock()}.", "dim"))


def print_schedule(seen: Seen, runs: Sequence[PastRun]) -> None:
    """Print everything about one schedule, with the reason for each of its settings."""
    stored, why = seen.stored, seen.declaration.why
    status = "active" if seen.active else "paused"
    head = Text(f"{'●' if seen.active else '‖'} {status}", STYLES[status])
    _print(head.append(f"  {printable(stored.name)}", "default"))
    if seen.paused_reason:
        _print(Text(printable(seen.paused_reason), "yellow"))
    if seen.problem:
        _print(Text(printable(seen.problem), "red"))
    _print(Text(seen.declaration.purpose))
    _print(Text(stored.id, "dim"))
    _print(Text())
    when = seen.words if seen.words == stored.schedule else f"{seen.words} ({stored.schedule})"
    _setting("when", f"{when}, {stored.time_zone}", why["timetable"])
    _setting("catch-up", stored.catch_up, why["catch_up"])
    _setting("overlap", stored.specification["overlap"].replace("_", " "), why["overlap"])
    _setting("jitter", stored.specification["jitter"] or "none", why["jitter"])
    upcoming = seen.live.next_runs[:3] if seen.live else ()
    following = ", ".join(map(local, upcoming)) or local(seen.next_run)
    _setting("next", following or "none", f"These and the runs below by {_this_clock()}.")
    if seen.live and (seen.live.too_late or seen.live.overlapping):
        _setting(
            "left out",
            f"{seen.live.too_late} later than the catch-up, "
            f"{seen.live.overlapping} while a run was under way",
            "Times it was due and did not run, since Temporal has it.",
        )
    _print(Text())
    if not runs:
        _print(Text("It has not run yet."))
        return
    strip = Text("  ")
    for run in reversed(runs):
        strip.append(_MARKS[run.status], STYLES[run.status])
    _print(strip.append(f"  {_record(seen.history)}", "dim"))
    _print(Text())
    print_listing(console, _RUNS, [_run(run) for run in runs])


def print_synced(result: SyncResult) -> None:
    """Print what a sync did, and what it could not do."""
    for verb, ids in (
        ("created", result.created),
        ("updated", result.updated),
        ("paused", result.paused),
        ("unpaused", result.unpaused),
        ("deleted", result.deleted),
    ):
        for schedule_id in sorted(ids):
            _print(Text.assemble((f"{verb:<9}", STYLES.get(verb, "")), f" {schedule_id}"))
    _print(Text(f"{len(result.unchanged)} unchanged."))


def _line(seen: Seen) -> Line:
    stored = seen.stored
    facts = [f"{seen.words}, {stored.time_zone}"]
    if seen.words != stored.schedule:
        facts.append(stored.schedule)
    facts.append(f"catches up {stored.catch_up}")
    if seen.history.runs:
        facts.append(_record(seen.history))
    note = " · ".join(facts)
    if seen.paused_reason:
        note = f"{seen.paused_reason} · {note}"
    if seen.problem:
        note = f"{seen.problem} · {note}"
    return Line(
        (
            stored.name,
            local(seen.next_run) if seen.active else "paused",
            local(seen.history.last_run),
            seen.history.last_result or "",
        ),
        note,
    )


def _record(history: ScheduleHistory) -> str:
    rate = "" if history.success_rate is None else f"{history.success_rate:g} % of "
    runs = f"{rate}{counted(history.runs, 'run')} in 7 days"
    return f"{runs}, {elapsed(history.average_duration)}" if history.average_duration else runs


def _run(run: PastRun) -> Line:
    took = run.finished_at - run.started_at if run.finished_at else None
    return Line(
        (
            local(run.started_at),
            local(run.scheduled_at),
            run.status,
            elapsed(took),
            "" if run.looked_at is None else str(run.looked_at),
            "" if run.found is None else str(run.found),
        ),
        run.error_message,
    )


def _this_clock() -> str:
    return f"this computer's clock, {local_zone()}"


def _setting(name: str, value: str, reason: str | None = None) -> None:
    _print(Text(f"  {name:<9} {value}"))
    if reason:
        console.print(Padding(Text(reason, "dim"), (0, 0, 0, 12)))


def _print(line: Text) -> None:
    console.print(line, soft_wrap=True)
