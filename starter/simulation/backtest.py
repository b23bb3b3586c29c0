"""Run a draft over everything that was recorded, page by page, counting and doing nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.events import Event
from fixlify.domain.facts import Facts, Subject
from fixlify.domain.rules import Rules
from fixlify.domain.runs import ExecutionStatus
from fixlify.storage.database import Database
from fixlify.storage.executions import DUPLICATE_WINDOW, NewExecution, WindowKey
from fixlify.storage.facts import load_facts
from fixlify.storage.owners import Owner, find_owner
from fixlify.storage.rehearsal import (
    RecordedEvent,
    SentMessage,
    event_page,
    event_span,
    find_refusals,
    read_only,
)
from starter.explaining import event_of
from starter.matching import Match, decide, find_matches
from starter.simulation.occasion import Rehearsed
from starter.simulation.rehearsal import good_for, rules_for
from starter.simulation.tally import Tally
from starter.simulation.walk import walk
from starter.simulation.world import World, addressed

PAGE: Final = 500
"""How many events one transaction reads; none lasts, and none keeps more in memory."""

Progress = Callable[[int, int], None]
"""Told how far it is, and how far it goes: ids of events."""


@dataclass(slots=True)
class Backtest:
    """One backtest; lives until it is over.

    ``happens`` is as for ``walk``. What a page needs to know of those before it is kept in
    ``_windows`` and ``_sent``, and forgotten when it counts no more.
    """

    database: Database
    rehearsed: Rehearsed
    organization_id: UUID
    zone: ZoneInfo
    happens: bool = True
    tally: Tally = field(default_factory=Tally)
    _windows: dict[WindowKey, list[datetime]] = field(default_factory=dict)
    _sent: dict[UUID, list[SentMessage]] = field(default_factory=dict)

    async def run(self, since: datetime, progress: Progress, page: int = PAGE) -> Tally:
        """Go through the events since then, oldest first; return what was counted."""
        trigger = self.rehearsed.pinned.definition.trigger
        async with self.database.transaction() as connection:
            await read_only(connection)
            first, last = await event_span(connection, self.organization_id, since)
        after, begin = first, first
        while True:
            async with self.database.transaction() as connection:
                await read_only(connection)
                found = await event_page(
                    connection,
                    self.organization_id,
                    trigger.event_type,
                    (after, last),
                    page,
                    self.rehearsed.id if self.rehearsed.stored else None,
                )
                if not found:
                    progress(last - begin, last - begin)
                    return self.tally
                await self._look_at(connection, found)
            after = found[-1].event.id
            progress(after - begin, last - begin)

    async def _look_at(self, connection: AsyncConnection, page: Sequence[RecordedEvent]) -> None:
        events = []
        for recorded in page:
            event = event_of(recorded.event, self.organization_id)
            if event is None:
                self.tally.unreadable += 1
            else:
                events.append(event.model_copy(update={"chain": recorded.chain}))
        self.tally.looked_at += len(page)
        matches = find_matches(events, self.rehearsed.listening(self.organization_id))
        facts = await load_facts(connection, [match.subject for match in matches])
        decided = decide(matches, facts, self._windows)
        self.tally.not_listened_for += len(events) - len(decided)
        by_event = {match.event.id: match for match in matches}
        runs = []
        for execution in decided:
            match = by_event[execution.trigger_data["event_id"]]
            if execution.status is ExecutionStatus.SKIPPED:
                self.tally.keep_back(execution.reason or "no reason")
            elif (known := facts.get(match.subject)) is None:
                self.tally.keep_back(f"the {match.event.subject_type} no longer exists")
            else:
                runs.append((match, known))
        self._remember(decided, by_event.values(), events)
        await self._walk(connection, runs)

    async def _walk(self, connection: AsyncConnection, runs: Sequence[tuple[Match, Facts]]) -> None:
        if not runs:
            return
        rules = await rules_for(connection, self.rehearsed, runs[0][0].subject)
        owner = await find_owner(connection, self.organization_id)
        worlds = [
            self._world(match.subject, match.event, facts, rules, owner) for match, facts in runs
        ]
        asked = [
            (world, step_id, each)
            for world, (match, _) in zip(worlds, runs, strict=True)
            for step_id, each in addressed(world, match.event.occurred_at)
        ]
        refusals = await find_refusals(
            connection, self.organization_id, [each for _, _, each in asked]
        )
        for (world, step_id, _), refusal in zip(asked, refusals, strict=True):
            world.refusals[step_id] = refusal
        for world, (match, _) in zip(worlds, runs, strict=True):
            steps = walk(world, match.event.occurred_at, happens=self.happens)
            self.tally.add_run(steps, self.zone)
        self._forget(runs[-1][0].event.occurred_at, rules)

    def _world(
        self, subject: Subject, event: Event, facts: Facts, rules: Rules | str, owner: Owner | None
    ) -> World:
        client = facts.client
        counts = client is not None and not isinstance(rules, str) and bool(rules.caps)
        return World(
            pinned=self.rehearsed.pinned,
            subject=subject,
            facts=facts.with_event(event.data),
            rules=rules,
            # Shared by the walks of one client: what the first sent counts for the second.
            sent=self._sent.setdefault(client.id, []) if client and counts else [],
            owner=owner,
            worth=good_for(self.rehearsed),
        )

    def _remember(
        self, decided: Sequence[NewExecution], matches: Iterable[Match], events: Sequence[Event]
    ) -> None:
        """Keep what ran lately: the next page may repeat it."""
        ran = {
            execution.trigger_data["event_id"]
            for execution in decided
            if execution.status is ExecutionStatus.PENDING
        }
        for match in matches:
            if match.event.id in ran:
                self._windows.setdefault(match.key, []).append(match.event.occurred_at)
        if events:
            oldest = max(event.occurred_at for event in events) - DUPLICATE_WINDOW
            self._windows = {
                key: kept
                for key, times in self._windows.items()
                if (kept := [each for each in times if each > oldest])
            }

    def _forget(self, now: datetime, rules: Rules | str) -> None:
        longest = (
            timedelta()
            if isinstance(rules, str)
            else max((cap.per for cap in rules.caps), default=timedelta())
        )
        for client, sent in list(self._sent.items()):
            sent[:] = [each for each in sent if each.at > now - longest]
            if not sent:
                del self._sent[client]
