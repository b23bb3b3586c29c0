"""What a run costs, in what does not depend on the clock: a change for the worse is a decision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine as SqlEngine
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from devstack.temporal_actions import billable_actions
from fixlify.domain.limits import LimitedChannel
from tests.engine import Engine, running_engine
from tests.office import Office

THANKS = """
name: Thanks
trigger: {type: job_completed}
steps:
  - {id: mail, type: send_email, template: job-completed, to: client}
  - {id: text, type: send_sms, template: job-completed, to: client}
"""
# Of one event: claim it; its automations; opt-out words; who waits for it; what is in its window;
# its execution; mark it, and its launch.
RELAYED = 8
# Begin, facts, enter the messages; claim and accept each of two; the outcome.
RAN = 8
RUNS = 5


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Count the statements this process sends to Postgres, by their first words."""
    statements: Counter[str] = Counter()

    def count(_: Any, __: Any, statement: str, *___: Any) -> None:
        statements[" ".join(statement.split())[:60]] += 1

    event.listen(SqlEngine, "before_cursor_execute", count)
    try:
        yield statements
    finally:
        event.remove(SqlEngine, "before_cursor_execute", count)


async def run_once(office: Office, engine: Engine, job: str) -> None:
    """Complete *job* and wait for the end of its run."""
    await office.write_status(await office.add_job(job), "completed")
    await engine.settled()


async def test_a_run_costs_so_many_statements(
    office: Office, temporal_client: Client, mail: MailCatcher, phone: SmsCatcher
) -> None:
    await office.apply(THANKS)
    async with running_engine(office, temporal_client, mail, phone) as engine:
        # What is read once, and kept.
        await run_once(office, engine, "J-1")
        with counted() as relayed:
            await office.write_status(await office.add_job("J-2"), "completed")
            await engine.relay.relay_batch()
            await engine.handle((await office.executions())[-1]["id"]).result()
        with counted() as idle:
            assert await engine.relay.relay_batch() == 0

    assert sum(relayed.values()) <= RELAYED + RAN, relayed
    assert sum(idle.values()) == 1, idle


async def test_what_a_batch_costs_the_relay_does_not_grow_with_its_events(
    office: Office, temporal_client: Client, mail: MailCatcher, phone: SmsCatcher
) -> None:
    await office.apply(THANKS)
    async with running_engine(office, temporal_client, mail, phone) as engine:
        await run_once(office, engine, "J-1")
        for number in range(RUNS):
            await office.write_status(await office.add_job(f"J-1{number}"), "completed")
        with counted() as relayed:
            assert await engine.relay.relay_batch() >= RUNS
            for execution in await office.executions():
                await engine.handle(execution["id"]).result()

    assert sum(relayed.values()) <= RELAYED + RUNS * RAN, relayed


@pytest.mark.parametrize(
    ("at_once", "events", "actions"),
    [((LimitedChannel.EMAIL, LimitedChannel.SMS), 9, 2), ((), 25, 5)],
    ids=["tried-at-once", "queued"],
)
async def test_a_run_costs_so_many_events_and_actions(
    office: Office,
    temporal_client: Client,
    mail: MailCatcher,
    phone: SmsCatcher,
    at_once: tuple[LimitedChannel, ...],
    events: int,
    actions: int,
) -> None:
    await office.apply(THANKS)
    async with running_engine(office, temporal_client, mail, phone, at_once=at_once) as engine:
        await run_once(office, engine, "J-1")
        (execution,) = await office.executions()
        history = await engine.handle(execution["id"]).fetch_history()

    assert len(history.events) <= events, [EventType.Name(e.event_type) for e in history.events]
    assert billable_actions(history.events) <= actions
    assert (len(mail.messages), len(phone.messages)) == (1, 1)


async def test_a_history_stays_small(
    office: Office, temporal_client: Client, mail: MailCatcher, phone: SmsCatcher
) -> None:
    """Ids and decisions travel through Temporal; people and their texts do not."""
    await office.apply(THANKS)
    async with running_engine(office, temporal_client, mail, phone) as engine:
        await run_once(office, engine, "J-1")
        (execution,) = await office.executions()
        history = await engine.handle(execution["id"]).fetch_history()

    assert sum(each.ByteSize() for each in history.events) < 5_000
