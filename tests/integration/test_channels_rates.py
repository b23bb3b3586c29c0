"""A channel sends no faster than it may, and companies take turns in its queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from devstack.temporal_server import EmbeddedTemporal
from fixlify import temporal
from fixlify.domain.limits import UNLIMITED, LimitedChannel
from fixlify.storage.channels import set_channel_rate, set_organization_rate
from fixlify.storage.database import Database
from starter.channels import (
    LOOK_INTERVAL,
    Pace,
    QueueState,
    RateKeeper,
    apply_pace,
    read_queue,
)
from tests.engine import Engine, eventually, running_engine
from tests.office import Office

TEXT = """
name: Thanks
trigger: {type: job_completed}
steps: [{id: text, type: send_sms, text: "Thanks from {{ company.name }}, {{ job.title }}"}]
"""
SMS = LimitedChannel.SMS
BURST = 150
A_SECOND = 10.0
SLOWLY = 4.0
FREE = Pace()


@pytest.fixture(scope="module")
async def own_client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    """A client of a Temporal server of these tests alone, which turn its rates."""
    async with EmbeddedTemporal(tmp_path_factory.mktemp("rates"), ui=False) as server:
        yield await temporal.connect(server.address, "default")


@pytest.fixture
async def client(own_client: Client) -> AsyncIterator[Client]:
    """The client, and no rates afterwards."""
    yield own_client
    for channel in LimitedChannel:
        await apply_pace(own_client, channel, FREE)


@pytest.fixture
async def engine(
    office: Office, client: Client, mail: MailCatcher, phone: SmsCatcher
) -> AsyncIterator[Engine]:
    # The rates are Temporal's, of which first tries know nothing unless we have them, too.
    async with running_engine(office, client, mail, phone, at_once=()) as engine:
        yield engine


async def complete_jobs(office: Office, count: int) -> None:
    """Complete that many jobs in one statement, each of which is worth a text."""
    client = await office.add_client()
    await office.query(
        "INSERT INTO jobs (organization_id, client_id, id, title, status)"
        " SELECT %s, %s, 'J-' || n, 'job ' || n, 'new' FROM generate_series(1, %s) n",
        office.organization_id,
        client,
        count,
    )
    await office.query(
        "UPDATE jobs SET status = 'completed' WHERE organization_id = %s", office.organization_id
    )


async def waiting(office: Office) -> int:
    """Return how many texts of the company are written and wait for their turn."""
    return sum(message["status"] == "queued" for message in await office.messages())


def by_company(phone: SmsCatcher) -> list[str]:
    """Return whose each text was, in the order in which the provider had them."""
    return [
        message.body.removeprefix("Thanks from ").partition(",")[0] for message in phone.messages
    ]


async def test_a_small_company_does_not_wait_for_a_large_ones_burst(
    office: Office, engine: Engine, client: Client, phone: SmsCatcher
) -> None:
    """A tenant once had to wait until everybody before it was served."""
    await office.apply(TEXT)
    async with await Office.open(office.url, "Harbor Plumbing") as small:
        await small.apply(TEXT)
        await apply_pace(client, SMS, Pace(SLOWLY))
        await complete_jobs(office, BURST)
        await engine.relay_everything()

        async def are_written() -> bool:
            await engine.all_are_launched()
            return len(await office.messages()) == BURST

        await eventually(are_written)
        served_before = len(phone.messages)
        await complete_jobs(small, 1)
        await engine.relay_everything()

        async def served() -> bool:
            return "Harbor Plumbing" in by_company(phone)

        await eventually(served)
        place = by_company(phone).index("Harbor Plumbing") - served_before
        still_waits = (await read_queue(client, SMS)).backlog
        await apply_pace(client, SMS, FREE)
        executions = await engine.settled()

    # All of them came before it.
    assert still_waits > 50
    assert place < still_waits / 2
    assert {each["status"] for each in executions} == {"completed"}
    assert len(phone.messages) == len({message.body for message in phone.messages}) == BURST + 1


async def test_no_channel_sends_faster_than_it_may(
    office: Office, engine: Engine, client: Client, phone: SmsCatcher
) -> None:
    await office.apply(TEXT)
    await apply_pace(client, SMS, Pace(A_SECOND))
    await complete_jobs(office, 40)
    await engine.settled()

    took = phone.messages[-1].received_at - phone.messages[0].received_at
    # What the queue had saved up while nobody sent goes at once: one second's worth.
    saved_up = int(A_SECOND)
    assert took >= timedelta(seconds=(40 - 1 - saved_up) / A_SECOND * 0.7)


async def test_no_company_sends_faster_than_it_may(
    office: Office, engine: Engine, client: Client, phone: SmsCatcher
) -> None:
    await office.apply(TEXT)
    await apply_pace(client, SMS, Pace(None, A_SECOND))
    await complete_jobs(office, 40)
    await engine.settled()

    took = phone.messages[-1].received_at - phone.messages[0].received_at
    assert took >= timedelta(seconds=(40 - 1 - int(A_SECOND)) / A_SECOND * 0.7)


async def test_what_an_operator_set_is_brought_to_temporal_and_brought_again(
    client: Client, engine_database: Database
) -> None:
    """A Temporal that was set up anew knows of no rates."""
    keeper = RateKeeper(client, engine_database, {})
    assert await keeper.keep() == ()
    async with engine_database.transaction() as connection:
        await set_channel_rate(connection, SMS, 1 / 3)
        await set_organization_rate(connection, SMS, 0.1)

    assert await keeper.keep() == (SMS,)
    wanted = Pace(1 / 3, 0.1)
    assert wanted.is_about((await read_queue(client, SMS)).pace)
    assert await keeper.keep() == ()

    await apply_pace(client, SMS, FREE)
    assert await keeper.keep() == (SMS,)
    assert wanted.is_about((await read_queue(client, SMS)).pace)


async def test_a_channel_that_nobody_set_has_the_rate_of_the_settings(
    client: Client, engine_database: Database
) -> None:
    keeper = RateKeeper(client, engine_database, {LimitedChannel.EMAIL: 20.0, SMS: 5.0})
    assert await keeper.keep() == (LimitedChannel.EMAIL, SMS)
    async with engine_database.transaction() as connection:
        await set_channel_rate(connection, SMS, UNLIMITED)
        await set_channel_rate(connection, LimitedChannel.EMAIL, 30.0)
    assert await keeper.keep() == (LimitedChannel.EMAIL, SMS)
    assert (await read_queue(client, SMS)).pace == FREE
    assert (await read_queue(client, LimitedChannel.EMAIL)).pace == Pace(30.0)

    async with engine_database.transaction() as connection:
        await set_channel_rate(connection, SMS, None)
    assert await keeper.keep() == (SMS,)
    assert (await read_queue(client, SMS)).pace == Pace(5.0)


async def test_a_temporal_that_is_away_is_waited_for(
    client: Client, engine_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    async def read(*arguments: Any) -> QueueState:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise RPCError("away", RPCStatusCode.UNAVAILABLE, b"")
        return await read_queue(*arguments)

    monkeypatch.setattr("starter.channels.read_queue", read)
    with capture_logs() as logs:
        keeping = asyncio.create_task(
            RateKeeper(client, engine_database, {SMS: 5.0}, LOOK_INTERVAL / 1000).run()
        )

        async def has_it() -> bool:
            return (await read_queue(client, SMS)).pace == Pace(5.0)

        await eventually(has_it)
        keeping.cancel()
    assert [each["event"] for each in logs] == [
        "The rates of channels cannot be looked after now; trying again.",
        "A channel has its rate in Temporal.",
    ]


async def test_a_server_that_keeps_no_rates_is_told_of_once(
    client: Client, engine_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    async def apply(*arguments: Any) -> None:
        nonlocal calls
        calls += 1
        raise RPCError("unknown method", RPCStatusCode.UNIMPLEMENTED, b"")

    monkeypatch.setattr("starter.channels.apply_pace", apply)
    with capture_logs() as logs:
        keeping = asyncio.create_task(
            RateKeeper(client, engine_database, {SMS: 5.0}, LOOK_INTERVAL / 1000).run()
        )

        async def tried_again() -> bool:
            return calls > 2

        await eventually(tried_again)
        keeping.cancel()
    (said,) = logs
    assert said["event"].startswith("This Temporal server keeps no rates")
