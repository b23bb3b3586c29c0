"""Turn recorded events into executions, executions into workflows, and tell those that wait."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Protocol

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.events import Event
from fixlify.domain.runs import ExecutionStatus
from fixlify.domain.triggers import TRIGGERS_BY_EVENT
from fixlify.storage.automations import Listening, ListeningAutomations
from fixlify.storage.chains import names_in_chains
from fixlify.storage.database import Database
from fixlify.storage.events import (
    SWEPT_PER_BATCH,
    ClaimedEvents,
    claim_events,
    mark_processed,
)
from fixlify.storage.executions import (
    NewExecution,
    PendingExecution,
    executions_in_window,
    insert_executions,
    lock_subjects,
)
from fixlify.storage.facts import load_facts
from fixlify.storage.failures import blames_the_data, cause_of
from fixlify.storage.launching import BOUNDS, InFlight, expire_executions
from fixlify.storage.listen import EventSignal
from fixlify.storage.signals import (
    Hearing,
    mark_delivered,
    record_signals,
    undelivered_signals,
)
from starter.launches import SETTLED, Launches, WorkflowLauncher
from starter.matching import Match, decide, find_matches
from starter.optouts import apply_opt_out_words

BATCH: Final = 100
# How many signals nobody delivered are delivered at once; many may be for one run.
UNDELIVERED_BATCH: Final = 100
# Between two full ones, so that a hundred a second leave room for everybody else's.
UNDELIVERED_PAUSE: Final = timedelta(milliseconds=250)
# A pooler or a cut connection loses notifications; nothing waits longer than this for one.
POLL_INTERVAL: Final = timedelta(seconds=1)

_log = structlog.get_logger(__name__)


class RunTeller(Protocol):
    """Tells runs of events; ``starter.hearing.Teller`` does."""

    async def tell(self, hearings: Sequence[Hearing]) -> list[Hearing]:
        """Tell each run and return those that know, or that need not know any more."""


class Relay:
    """Claims events, matches them, launches what matched, tells the runs that are to hear of them.

    Lives as long as its process. Several relays may run at once: events and windows are locked
    in Postgres, a launch is idempotent, and a run that is told twice hears once. Without a
    *teller* what runs are to hear is recorded, and left to a relay that has one.

    Everything is matched at once. Only as much is launched as *bounds* have room for; the rest
    stays pending, and follows as runs begin, each organization's in turn.
    """

    def __init__(
        self,
        database: Database,
        launcher: WorkflowLauncher,
        signal: EventSignal,
        teller: RunTeller | None = None,
        bounds: InFlight = BOUNDS,
    ) -> None:
        self._database = database
        self._signal = signal
        self._teller = teller
        self._launches = Launches(database, launcher, bounds)
        self._listening = ListeningAutomations()
        self._next_sweep = 0.0
        self._away = False

    async def run(self) -> None:
        """Work until cancelled; a database or Temporal that is away is waited for.

        What waits is launched beside everything else: on a busy server that takes longer than
        what happened just now should wait.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._patiently(self._relay_and_wait), name="relay events")
            tasks.create_task(self._patiently(self._launches.look_when_due), name="launch")

    async def _patiently(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except (SQLAlchemyError, OSError) as error:
                if not self._away:
                    _log.warning(
                        "The database cannot be used now; trying again.", error=_first_line(error)
                    )
                    self._away = True
                await asyncio.sleep(POLL_INTERVAL.total_seconds())
            else:
                if self._away:
                    _log.info("The database can be used again.")
                    self._away = False

    async def _relay_and_wait(self) -> None:
        claimed = await self._relay_batch()
        # Also between full batches: what was left behind does not wait for a quiet hour.
        if not _until(self._next_sweep):
            await self._sweep()
        if not _left_some(claimed):
            await self._signal.wait(_until(self._next_sweep))

    async def _sweep(self) -> None:
        await self.expire()
        more = await self.tell_left_behind() >= UNDELIVERED_BATCH
        pause = UNDELIVERED_PAUSE if more else POLL_INTERVAL
        self._next_sweep = _now() + pause.total_seconds()

    async def relay_batch(self) -> int:
        """Relay up to one batch of events and return how many were claimed.

        Claiming, matching, inserting and marking are one transaction; launching and telling
        follow it.
        """
        return len(await self._relay_batch())

    async def _relay_batch(self) -> ClaimedEvents:
        try:
            claimed, relayed = await self._record(self._match_together)
        except Exception as error:
            if not blames_the_data(error):
                raise
            _log.warning(
                "A batch could not be relayed; taking its events one by one.",
                error=cause_of(error),
            )
            claimed, relayed = await self._record(self._match_singly)
        await self._launches.launch(relayed.pending, relayed.waiting)
        await self._tell(relayed.hearings)
        return claimed

    async def _record(self, match: _Match) -> tuple[ClaimedEvents, _Relayed]:
        async with self._database.transaction() as connection:
            claimed = await claim_events(connection, BATCH)
            if not claimed:
                return claimed, _Relayed()
            relayed = await match(connection, claimed.events)
            await mark_processed(connection, {**relayed.outcomes, **claimed.unreadable})
        return claimed, relayed

    async def _match_together(
        self, connection: AsyncConnection, events: Sequence[Event]
    ) -> _Relayed:
        """Take down who opted out, and then what *events* set off."""
        await apply_opt_out_words(connection, events)
        return await self._match_all(connection, events)

    async def _match_all(self, connection: AsyncConnection, events: Sequence[Event]) -> _Relayed:
        """Insert the executions of *events*, and what runs under way are to hear of them."""
        matches, unreadable = await self._match(connection, events)
        decided = await self._decide(connection, matches)
        inserted = await insert_executions(
            connection,
            decided,
            per_organization=self._launches.bounds.per_organization,
            room=max(self._launches.room, 0),
        )
        names = {match.automation.id: match.automation.name for match in matches}
        new = [
            execution
            for execution in decided
            if execution.id in inserted and execution.status is ExecutionStatus.PENDING
        ]
        pending = [
            _pending(execution, names[execution.automation_id])
            for execution in new
            if inserted[execution.id]
        ]
        hearings = await record_signals(connection, events)
        outcomes = _outcomes(events, decided, hearings)
        for event_id, automations in unreadable.items():
            outcomes[event_id] += f"; {automations}"
        return _Relayed(pending, hearings, outcomes, waiting=len(new) - len(pending))

    async def _match_singly(self, connection: AsyncConnection, events: Sequence[Event]) -> _Relayed:
        """Do the same one by one; an event that fails is marked, and costs no other its turn."""
        relayed = _Relayed()
        for event in events:
            try:
                # Of its own: who opted out has, whatever becomes of the rest.
                async with connection.begin_nested():
                    await apply_opt_out_words(connection, [event])
                async with connection.begin_nested():
                    single = await self._match_all(connection, [event])
            except Exception as error:
                if not blames_the_data(error):
                    raise
                relayed.outcomes[event.id] = f"failed: {cause_of(error)}"
                _log.error(
                    "An event could not be relayed; it is marked.",
                    event_id=event.id,
                    error=cause_of(error),
                )
            else:
                relayed.pending.extend(single.pending)
                relayed.hearings.extend(single.hearings)
                relayed.outcomes.update(single.outcomes)
                relayed.waiting += single.waiting
        return relayed

    async def launch_waiting(self) -> int:
        """Launch some of what waited for room, or was left behind; return how many there were."""
        return await self._launches.launch_waiting()

    async def expire(self) -> None:
        """Skip what is pending and has become too late to begin."""
        async with self._database.statement() as connection:
            expired = await expire_executions(connection)
        if expired:
            _log.warning("Executions came too late to begin; skipped.", count=len(expired))

    async def tell_left_behind(self) -> int:
        """Tell runs what a crash or an unreachable Temporal kept from them.

        Returns:
            How many signals were delivered, of ``UNDELIVERED_BATCH`` at most.
        """
        if self._teller is None:
            return 0
        async with self._database.statement() as connection:
            left_behind = await undelivered_signals(connection, UNDELIVERED_BATCH, settled=SETTLED)
        return await self._tell(left_behind)

    async def _match(
        self, connection: AsyncConnection, events: Sequence[Event]
    ) -> tuple[list[Match], Mapping[int, str]]:
        trigger_types = {name for event in events for name in TRIGGERS_BY_EVENT[event.type]}
        organizations = {event.organization_id for event in events}
        listening = await self._listening.find(connection, organizations, trigger_types)
        unreadable = {
            event.id: f"automations nobody can read: {', '.join(names)}"
            for event in events
            if (names := listening.get(event.organization_id, Listening()).unreadable)
        }
        if unreadable:
            _log.error(
                "Stored automations are invalid; apply them again.",
                automations=sorted(set(unreadable.values())),
            )
        return find_matches(events, listening), unreadable

    async def _decide(
        self, connection: AsyncConnection, matches: Sequence[Match]
    ) -> list[NewExecution]:
        if not matches:
            return []
        await lock_subjects(
            connection, [(match.event.organization_id, match.event.subject_id) for match in matches]
        )
        in_window = await executions_in_window(
            connection, [(match.key, match.event.occurred_at) for match in matches]
        )
        facts = await load_facts(
            connection,
            [match.subject for match in matches if match.automation.conditions is not None],
        )
        names = await names_in_chains(
            connection,
            {
                (match.event.organization_id, each)
                for match in matches
                for each in match.event.chain
            },
        )
        return decide(matches, facts, in_window, names)

    async def _tell(self, hearings: Sequence[Hearing]) -> int:
        if not hearings or self._teller is None:
            return 0
        told = await self._teller.tell(hearings)
        async with self._database.statement() as connection:
            await mark_delivered(connection, told)
        return sum(len(hearing.event_ids) for hearing in told)


@dataclass(slots=True)
class _Relayed:
    """What follows the commit, and what became of each event by its id.

    ``waiting`` is how many of the executions are pending without being this relay's to launch.
    """

    pending: list[PendingExecution] = field(default_factory=list)
    hearings: list[Hearing] = field(default_factory=list)
    outcomes: dict[int, str] = field(default_factory=dict)
    waiting: int = 0


_Match = Callable[[AsyncConnection, Sequence[Event]], Awaitable[_Relayed]]


def _outcomes(
    events: Sequence[Event], decided: Sequence[NewExecution], hearings: Sequence[Hearing]
) -> dict[int, str]:
    """Say of each event what it led to: ``2 pending, 1 skipped``, or ``nothing matched``.

    And how many runs under way are told of it: ``nothing matched; heard by 1``.
    """
    counts: dict[int, Counter[str]] = {event.id: Counter() for event in events}
    for execution in decided:
        counts[execution.trigger_data["event_id"]][execution.status.value] += 1
    heard = Counter(event_id for hearing in hearings for event_id in hearing.event_ids)
    return {
        event_id: (
            ", ".join(f"{n} {status}" for status, n in sorted(count.items())) or "nothing matched"
        )
        + (f"; heard by {heard[event_id]}" if heard[event_id] else "")
        for event_id, count in counts.items()
    }


def _pending(execution: NewExecution, automation: str) -> PendingExecution:
    return PendingExecution(
        id=execution.id,
        organization_id=execution.organization_id,
        automation_id=execution.automation_id,
        automation=automation,
        version=execution.automation_version,
        trigger_type=execution.trigger_type,
        subject_type=execution.subject_type,
        subject_id=execution.subject_id,
    )


def _left_some(claimed: ClaimedEvents) -> bool:
    """Whether there may be more: a batch of many organizations is not always quite full."""
    return len(claimed) > BATCH // 2 or claimed.swept >= SWEPT_PER_BATCH


def _now() -> float:
    return asyncio.get_running_loop().time()


def _until(moment: float) -> timedelta:
    return max(timedelta(seconds=moment - _now()), timedelta())


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
