"""What is recorded commits with the write, wakes the relay, and never holds anybody up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from devstack.postgres import EmbeddedPostgres
from fixlify.storage.events import CHANNEL
from tests.clones import new_database
from tests.conftest import TEMPLATE
from tests.engine import eventually
from tests.office import Office
from tests.recorded import changes

COMPLETE = "UPDATE public.jobs SET status = 'completed' WHERE organization_id = %s"
START = "UPDATE public.jobs SET status = 'started' WHERE organization_id = %s"


async def update(office: Office, assignment: str) -> None:
    """Write all of the company's jobs at once."""
    await office.query(
        f"UPDATE jobs SET {assignment} WHERE organization_id = %s", office.organization_id
    )


@pytest.fixture(scope="module")
async def url(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """One database for most of these tests; each founds its own company in it."""
    async with new_database(postgres, TEMPLATE) as clone:
        yield clone


@pytest.fixture
async def office(url: str) -> AsyncIterator[Office]:
    """A company that only this test writes."""
    async with await Office.open(url) as company:
        yield company


class TestTogetherWithTheWrite:
    """Business write and event commit together, or not at all."""

    async def test_a_rollback_leaves_none(self, office: Office) -> None:
        job = await office.add_job(client_id=None)
        async with await psycopg.AsyncConnection.connect(office.url) as connection:
            await connection.execute(COMPLETE, [office.organization_id])
            await connection.rollback()
        assert await changes(office) == []
        await office.write_status(job, "cancelled")
        assert await changes(office) == [("scheduled", "cancelled")]

    async def test_a_savepoint_takes_back_only_its_own(self, office: Office) -> None:
        await office.add_job(client_id=None)
        async with await psycopg.AsyncConnection.connect(office.url) as connection:
            await connection.execute(START, [office.organization_id])
            async with connection.transaction() as savepoint:
                await connection.execute(COMPLETE, [office.organization_id])
                raise psycopg.Rollback(savepoint)
        assert await changes(office) == [("scheduled", "started")]

    async def test_nobody_sees_the_event_before_the_commit(self, office: Office) -> None:
        await office.add_job(client_id=None)
        async with await psycopg.AsyncConnection.connect(office.url) as connection:
            await connection.execute(COMPLETE, [office.organization_id])
            assert await changes(office) == []
            await connection.commit()
        assert await changes(office) == [("scheduled", "completed")]


class TestNotification:
    """The relay is woken by what may set something off, once it is committed."""

    @pytest.fixture
    async def listener(self, office: Office) -> Any:
        connection = await psycopg.AsyncConnection.connect(office.url, autocommit=True)
        async with connection:
            await connection.execute(f"LISTEN {CHANNEL}".encode())
            yield connection

    @staticmethod
    async def heard(listener: psycopg.AsyncConnection) -> int:
        """Return how many notifications came before one of our own."""
        await listener.execute(f"NOTIFY {CHANNEL}, 'the end'".encode())
        count = 0
        async for notification in listener.notifies():
            if notification.payload == "the end":
                break
            count += 1
        return count

    async def test_a_committed_change(self, office: Office, listener: Any) -> None:
        await office.add_job(client_id=None)
        assert await self.heard(listener) == 1
        await update(office, "status = 'completed'")
        assert await self.heard(listener) == 1

    async def test_a_change_from_and_to_nothing(self, office: Office, listener: Any) -> None:
        job = await office.add_job(client_id=None, status=None)
        await self.heard(listener)
        await office.write_status(job, "x")
        assert await self.heard(listener) == 1
        await office.write_status(job, None)
        assert await self.heard(listener) == 1

    async def test_a_thousand_changes_are_one_notification(
        self, office: Office, listener: Any
    ) -> None:
        await office.query(
            "INSERT INTO jobs (organization_id, id) SELECT %s, n FROM generate_series(1, 1000) n",
            office.organization_id,
        )
        assert await self.heard(listener) == 1

    async def test_a_rewrite_wakes_nobody(self, office: Office, listener: Any) -> None:
        job = await office.add_job(client_id=None)
        await self.heard(listener)
        await office.write_status(job, "scheduled")
        assert await self.heard(listener) == 0
        assert await changes(office) == [("scheduled", "scheduled")]

    async def test_several_of_one_transaction(self, office: Office, listener: Any) -> None:
        """Also where it takes back the first of them."""
        await office.add_job(client_id=None)
        await self.heard(listener)
        async with await psycopg.AsyncConnection.connect(office.url) as connection:
            async with connection.transaction() as savepoint:
                await connection.execute(START, [office.organization_id])
                raise psycopg.Rollback(savepoint)
            await connection.execute(COMPLETE, [office.organization_id])
            await connection.commit()
        assert await self.heard(listener) == 1

    async def test_a_rollback_wakes_nobody(self, office: Office, listener: Any) -> None:
        await office.add_job(client_id=None)
        await self.heard(listener)
        async with await psycopg.AsyncConnection.connect(office.url) as connection:
            await connection.execute(COMPLETE, [office.organization_id])
            await connection.rollback()
        assert await self.heard(listener) == 0


class TestWakingOnceForAll:
    """Of those that commit at one time one notifies: who notifies waits for all that do."""

    # The lock of every tenth of a second until long after the test.
    TAKE_ALL = """
        SELECT pg_advisory_lock(2002873189, ((now_is + later) % 2147483647)::integer)
        FROM (SELECT (date_part('epoch', clock_timestamp()) * 10)::bigint) AS clock (now_is),
             generate_series(-1, 3000) AS later
    """
    KEPT = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 2002873189"

    @pytest.fixture
    async def listener(self, office: Office) -> Any:
        connection = await psycopg.AsyncConnection.connect(office.url, autocommit=True)
        async with connection:
            await connection.execute(f"LISTEN {CHANNEL}".encode())
            yield connection

    @asynccontextmanager
    async def somebody_else_notifies(self, office: Office) -> AsyncIterator[None]:
        """Hold what one holds who is about to."""
        async with await psycopg.AsyncConnection.connect(office.url, autocommit=True) as other:
            await other.execute(self.TAKE_ALL)
            yield

    async def test_it_is_left_to_who_is_about_to(self, office: Office, listener: Any) -> None:
        job = await office.add_job(client_id=None)
        await TestNotification.heard(listener)
        async with self.somebody_else_notifies(office):
            await office.write_status(job, "completed")
            assert await TestNotification.heard(listener) == 0
        await office.write_status(job, "scheduled")
        assert await TestNotification.heard(listener) == 1

    async def test_a_transaction_that_takes_its_time_keeps_nobody_silent(
        self, office: Office
    ) -> None:
        """What decides who notifies is held by those that commit, and by nobody else."""
        await office.add_job(client_id=None)
        async with await psycopg.AsyncConnection.connect(office.url) as connection:
            await connection.execute(COMPLETE, [office.organization_id])
            assert [row["count"] for row in await office.query(self.KEPT)] == [0]
            await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
            assert [row["count"] for row in await office.query(self.KEPT)] == [1]

    async def test_one_that_notifies_before_its_time_keeps_nobody_silent_for_long(
        self, office: Office, listener: Any
    ) -> None:
        await office.add_job(client_id=None)
        await TestNotification.heard(listener)
        async with await psycopg.AsyncConnection.connect(office.url) as connection:
            await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
            await connection.execute(START, [office.organization_id])
            other = await office.add_job("J-2", client_id=None)

            async def another_is_heard() -> bool:
                await office.write_status(other, f"status {uuid4()}")
                return await TestNotification.heard(listener) > 0

            await eventually(another_is_heard)
