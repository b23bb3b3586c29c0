"""Look at the facts for a run that waits or divides: is it over, until when, which way."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities.failures import usable_data
from activities.versions import PinnedVersions
from fixlify.domain.automation import PinnedDefinition
from fixlify.domain.conditions import Condition, satisfied
from fixlify.domain.endings import exit_reason
from fixlify.domain.facts import Facts, Subject
from fixlify.domain.moments import find_arrival
from fixlify.domain.runs import Ending, ExecutionStatus, StepRequest, View
from fixlify.domain.steps import Branch, WaitForEvent, WaitUntil
from fixlify.storage.database import Database
from fixlify.storage.decisions import DecisionKind, record_decision
from fixlify.storage.facts import load_facts, load_trigger_data
from fixlify.storage.standing import find_standing, load_events


class DecisionActivities:
    """What a run decides by, read from Postgres; lives as long as the worker."""

    def __init__(self, database: Database, versions: PinnedVersions) -> None:
        self._database = database
        self._versions = versions

    @activity.defn(name="look")
    async def look(self, request: StepRequest) -> View:
        """Return what the facts say for one step, and write into the journal what is decided.

        A second call sees the facts as they are then; the journal keeps a repetition once.
        """
        async with usable_data(), self._database.statement() as connection:
            look = _Look(connection, request)
            pinned = await self._versions.get(connection, request.automation_id, request.version)
            return await look.at(pinned)


class _Look:
    """One look, on one connection."""

    def __init__(self, connection: AsyncConnection, request: StepRequest) -> None:
        self._connection = connection
        self._request = request

    async def at(self, pinned: PinnedDefinition) -> View:
        request, connection = self._request, self._connection
        standing = await find_standing(connection, request.execution_id, request.organization_id)
        if ending := standing.ending:
            return await self._over(DecisionKind.CANCELLED, ending)
        subject = Subject(request.organization_id, request.subject_type, request.subject_id)
        known = (await load_facts(connection, [subject], request.now)).get(subject)
        if known is None:
            gone = f"the {subject.type} no longer exists"
            return await self._over(DecisionKind.EXITED, _completed(gone))
        data = await load_trigger_data(connection, request.execution_id, request.organization_id)
        facts = known.with_event(data)
        if (reason := exit_reason(pinned.definition, facts)) is not None:
            return await self._over(DecisionKind.EXITED, _completed(reason))
        match pinned.definition.step(request.step_id):
            case WaitUntil() as step:
                return await self._until(step, facts)
            case WaitForEvent() as step:
                return await self._heard(step, known)
            case Branch() as step:
                return await self._branch(step.if_, facts)
            case _:
                return View()

    async def _over(self, kind: DecisionKind, ending: Ending) -> View:
        await self._journal(kind, ending.reason)
        return View(ending=ending)

    async def _until(self, step: WaitUntil, facts: Facts) -> View:
        request = self._request
        arrival = find_arrival(step, facts, request.now, request.deadline)
        if arrival.late is not None:
            await self._journal(DecisionKind.LATE, arrival.late)
        elif arrival.until is not None and arrival.until != request.deadline:
            moved = request.deadline is not None
            kind = DecisionKind.REARMED if moved else DecisionKind.ARMED
            before = f", was {request.deadline:%Y-%m-%d %H:%M}" if request.deadline else ""
            await self._journal(kind, f"until {arrival.until:%Y-%m-%d %H:%M}{before} UTC")
        return View(until=arrival.until, late=arrival.late, good_until=arrival.good_until)

    async def _heard(self, step: WaitForEvent, known: Facts) -> View:
        events = await load_events(
            self._connection, self._request.organization_id, self._request.event_ids
        )
        for event in events:
            # The same status written again is no news.
            if event.is_rewrite or not step.event.matches(event):
                continue
            facts = known.with_event(event.data)
            if step.conditions is not None and not step.conditions.holds(facts):
                unmet = "; ".join(step.conditions.failures(facts))
                await self._journal(
                    DecisionKind.HEARD, f"{event.type} of {event.subject_id}, but {unmet}"
                )
                continue
            await self._journal(
                DecisionKind.HEARD, f"{event.type} of {event.subject_id}: what it waited for"
            )
            return View(event_id=event.id)
        return View()

    async def _branch(self, condition: Condition, facts: Facts) -> View:
        holds = condition.holds(facts)
        because = satisfied(condition, facts) if holds else "; ".join(condition.failures(facts))
        await self._journal(DecisionKind.BRANCHED, f"{'then' if holds else 'else'}: {because}")
        return View(holds=holds)

    async def _journal(self, kind: DecisionKind, detail: str) -> None:
        await record_decision(
            self._connection,
            self._request.organization_id,
            self._request.execution_id,
            self._request.step_id,
            kind,
            detail,
        )


def _completed(reason: str) -> Ending:
    return Ending(status=ExecutionStatus.COMPLETED, reason=reason)
