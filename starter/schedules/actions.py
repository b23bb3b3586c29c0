"""A desired schedule in Temporal's words: what to start, when, and what to do if it is late."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from temporalio.client import Schedule, ScheduleActionStartWorkflow, SchedulePolicy, ScheduleState
from temporalio.common import Priority, SearchAttributePair, TypedSearchAttributes

from fixlify import temporal
from fixlify.domain import queues
from fixlify.domain.sweeps import SWEEP_PREFIX
from fixlify.domain.timetable import cron_line, describe
from starter.launch import LONGEST_SUMMARY
from starter.schedules.calendars import schedule_spec
from starter.schedules.desired import DesiredSchedule
from starter.schedules.registry import DECLARATIONS
from workflows.sweep import SweepWorkflow

# The workflow gives up by itself before; one without a worker must not hold up the next for ever,
# and waits for one as long as its schedule would have waited for the server.
LONGEST_SWEEP: Final = timedelta(hours=1)

MARK: Final = "fixlify"
"""The memo key by which a schedule is known as ours; whatever lacks it is left alone."""
DIGEST: Final = "fixlify_digest"
"""The action's memo key of the content hash; a schedule's own memo cannot be changed later."""


def temporal_schedule(desired: DesiredSchedule, state: ScheduleState) -> Schedule:
    """Return the schedule to create or to update to; it carries ids and nothing personal."""
    return Schedule(
        action=ScheduleActionStartWorkflow(
            SweepWorkflow.run,
            desired.sweep,
            id=f"{SWEEP_PREFIX}{desired.id}",
            task_queue=queues.AUTOMATIONS,
            execution_timeout=desired.catch_up + LONGEST_SWEEP,
            memo={DIGEST: desired.digest},
            typed_search_attributes=search_attributes(desired),
            static_summary=_summary(desired),
            static_details=_details(desired),
            priority=_priority(desired),
        ),
        spec=schedule_spec(desired.timetable, desired.time_zone, desired.dates, desired.jitter),
        policy=SchedulePolicy(overlap=desired.overlap, catchup_window=desired.catch_up),
        state=state,
    )


def search_attributes(desired: DesiredSchedule) -> TypedSearchAttributes:
    """Return what the schedule and its runs are found by."""
    pairs = [SearchAttributePair(temporal.TRIGGER, desired.sweep.kind.value)]
    if desired.organization_id is not None:
        pairs.append(SearchAttributePair(temporal.ORGANIZATION, str(desired.organization_id)))
    if desired.sweep.automation_id is not None:
        pairs.append(SearchAttributePair(temporal.AUTOMATION, str(desired.sweep.automation_id)))
    return TypedSearchAttributes(pairs)


def _priority(desired: DesiredSchedule) -> Priority:
    if desired.organization_id is None:
        return Priority.default
    return Priority(fairness_key=str(desired.organization_id))


def _summary(desired: DesiredSchedule) -> str:
    line = f"{desired.name}: {describe(desired.timetable)}, {desired.time_zone}"
    return line.encode()[:LONGEST_SUMMARY].decode(errors="ignore")


def _details(desired: DesiredSchedule) -> str:
    declaration = DECLARATIONS[desired.sweep.kind]
    return (
        f"{declaration.purpose}\n\n"
        f"- `{cron_line(desired.timetable)}` in {desired.time_zone}\n"
        f"- `fixlify schedules show {desired.id}`"
    )
