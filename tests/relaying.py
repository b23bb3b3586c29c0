"""A relay without Temporal: what it asks to be launched is remembered, or fails on demand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from fixlify.storage.executions import PendingExecution
from fixlify.storage.signals import Hearing
from starter.relay import Relay
from tests.office import Office

ON_COMPLETION = """
    name: Thanks
    trigger: {type: job_completed}
    steps: [{type: send_sms, text: Thank you.}]
"""
ON_ANY_CHANGE = """
    name: Any change
    trigger: {type: job_status_changed}
    steps: [{type: send_sms, text: Something changed.}]
"""


class RecordingLauncher:
    """Starts nothing, and remembers what it was asked to start; fails while *away*."""

    def __init__(self) -> None:
        self.asked: list[PendingExecution] = []
        self.away = False
        self.dying = False

    async def launch(self, executions: Sequence[PendingExecution]) -> list[UUID]:
        if self.dying:
            raise KilledError
        self.asked += executions
        return [] if self.away else [execution.id for execution in executions]

    @property
    def launched(self) -> list[UUID]:
        return [execution.id for execution in self.asked]


class RecordingTeller:
    """Signals nobody, and remembers whom it was asked to tell of what; fails while *away*."""

    def __init__(self) -> None:
        self.told: list[Hearing] = []
        self.away = False
        self.dying = False

    async def tell(self, hearings: Sequence[Hearing]) -> list[Hearing]:
        if self.dying:
            raise KilledError
        if self.away:
            return []
        self.told += hearings
        return list(hearings)

    @property
    def heard(self) -> dict[UUID, list[int]]:
        """The events that each run was told of, in the order it was."""
        heard: dict[UUID, list[int]] = {}
        for hearing in self.told:
            heard.setdefault(hearing.execution_id, []).extend(hearing.event_ids)
        return heard


class KilledError(BaseException):
    """What a process that dies between two statements looks like to itself."""


async def relay_everything(relay: Relay) -> None:
    while await relay.relay_batch():
        pass


async def outcomes(office: Office) -> list[tuple[str, str | None]]:
    return [(each["status"], each["reason"]) for each in await office.executions()]


async def status_events(office: Office) -> list[dict[str, Any]]:
    """Return what was recorded of jobs and their statuses, without visits, tags and edits."""
    told = {"job_created", "job_status_changed"}
    return [event for event in await office.events() if event["event_type"] in told]


async def event_outcomes(office: Office) -> list[str | None]:
    return [event["outcome"] for event in await status_events(office)]


async def age(office: Office, column: str, by: timedelta) -> None:
    """Let the company's executions look as if *column* were longer ago."""
    await office.query(f"UPDATE automation_execution_logs SET {column} = {column} - %s", by)
