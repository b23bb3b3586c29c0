"""Rehearse one run with the real facts, in a transaction that can write nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.errors import NotFoundError, RulesUnreadableError
from fixlify.domain.events import Event
from fixlify.domain.facts import Facts, Subject
from fixlify.domain.rules import Rules, effective_rules
from fixlify.domain.triggers.due import FoundBySweep
from fixlify.domain.triggers.scheduled import Scheduled
from fixlify.storage.facts import load_facts
from fixlify.storage.owners import find_owner
from fixlify.storage.rehearsal import SentMessage, find_refusals, read_only, sent_to
from fixlify.storage.rules import load_rules
from starter.simulation.occasion import Rehearsed, why_not
from starter.simulation.steps import SimulatedStep
from starter.simulation.supposed import with_status
from starter.simulation.walk import walk
from starter.simulation.world import World, addressed


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What one run would do.

    ``not_set_off`` says why the event would not set the automation off; without an event that
    was not asked. ``on_timeout`` are the steps where no event that is waited for comes; None
    where none is waited for.
    """

    subject: Subject
    facts: Facts
    begin: datetime
    not_set_off: str | None
    steps: tuple[SimulatedStep, ...]
    on_timeout: tuple[SimulatedStep, ...] | None


async def rehearse(
    connection: AsyncConnection,
    rehearsed: Rehearsed,
    subject: Subject,
    begin: datetime,
    event: Event | None,
) -> Rehearsal:
    """Walk through the automation for *subject*; sends nothing and writes nothing.

    Args:
        connection: In a transaction that has done nothing yet; it can write nothing afterwards.
        rehearsed: What is rehearsed.
        subject: Whom it is about.
        begin: When the run begins; waits count from then.
        event: What sets it off; None takes that for granted.

    Raises:
        NotFoundError: There is no such subject.
    """
    await read_only(connection)
    facts = (await load_facts(connection, [subject], begin)).get(subject)
    if facts is None:
        raise NotFoundError(
            f"there is no {subject.type} '{subject.id}'; ids are written as the tables have them"
        )
    facts = facts.with_event(event.data if event else {})
    if event is not None:
        facts = with_status(facts, event.type, event.after)
    reason = why_not(rehearsed, event, facts) if event else None
    world = World(
        pinned=rehearsed.pinned,
        subject=subject,
        facts=facts,
        rules=await rules_for(connection, rehearsed, subject),
        owner=await find_owner(connection, subject.organization_id),
        worth=good_for(rehearsed),
    )
    asked = addressed(world, begin)
    refusals = await find_refusals(connection, subject.organization_id, [each for _, each in asked])
    world.refusals = {
        step_id: refusal for (step_id, _), refusal in zip(asked, refusals, strict=True)
    }
    world.sent = await _sent_lately(connection, world, begin)
    sent = list(world.sent)
    steps = tuple(walk(world, begin))
    on_timeout = None
    if any(step.kind == "wait_for_event" for step in steps):
        world.sent, world.facts = sent, facts
        on_timeout = tuple(walk(world, begin, happens=False))
    return Rehearsal(subject, facts, begin, reason, steps, on_timeout)


async def rules_for(
    connection: AsyncConnection, rehearsed: Rehearsed, subject: Subject
) -> Rules | str:
    """Return the rules in effect for the automation, or why nobody can read them."""
    try:
        rules = await load_rules(connection, subject.organization_id)
    except RulesUnreadableError as error:
        return str(error)
    return effective_rules(rules, rehearsed.pinned.definition.rules)


def good_for(rehearsed: Rehearsed) -> timedelta | None:
    """Return how long a message may wait because of what set it off: a sweep's finds grow stale."""
    trigger = rehearsed.pinned.definition.trigger
    return trigger.good_for if isinstance(trigger, FoundBySweep | Scheduled) else None


async def _sent_lately(
    connection: AsyncConnection, world: World, begin: datetime
) -> list[SentMessage]:
    if isinstance(world.rules, str) or not world.rules.caps or world.facts.client is None:
        return []
    since = begin - max(cap.per for cap in world.rules.caps)
    client = world.facts.client.id
    return await sent_to(connection, world.subject.organization_id, client, since)
