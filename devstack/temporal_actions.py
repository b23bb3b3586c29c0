"""Counting what Temporal Cloud would bill for a run, from its history."""

from __future__ import annotations

from collections.abc import Iterable

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

_ONE_EACH = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
    EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
    EventType.EVENT_TYPE_TIMER_STARTED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW,
    EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED,
    EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
}
_LOCAL_ACTIVITY = "core_local_activity"


def billable_actions(events: Iterable[HistoryEvent]) -> int:
    """Return how many actions the run with these events costs.

    Starts, timers, signals and activities count one each, every retry of an activity one
    more, and all local activities of one workflow task one together (docs.temporal.io,
    "Actions in Workflows").
    """
    count = 0
    local_activity_tasks = set()
    for event in events:
        if event.event_type in _ONE_EACH:
            count += 1
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
            count += event.activity_task_started_event_attributes.attempt - 1
        elif event.event_type == EventType.EVENT_TYPE_MARKER_RECORDED:
            marker = event.marker_recorded_event_attributes
            if marker.marker_name == _LOCAL_ACTIVITY:
                local_activity_tasks.add(marker.workflow_task_completed_event_id)
    return count + len(local_activity_tasks)
