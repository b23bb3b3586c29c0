"""Organizations take turns, and only a bounded number of runs is on its way to the workers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from uuid import UUID

import pytest

from devstack.postgres import EmbeddedPostgres
from fixlify.storage.database import Database, Role
from fixlify.storage.events import claim_events
from fixlify.storage.launching import InFlight, take_executions
from fixlify.storage.listen import EventSignal
from starter.launches import LAUNCH_BATCH, RELAUNCH_AFTER, SETTLED
from starter.relay import BATCH, Relay
from tests.clones import delete_everything, new_database
from tests.conftest import TEMPLATE
from tests.engine import eventually
from tests.office import Office
from tests.relaying import ON_COMPLETION, KilledError, RecordingLauncher, age, relay_everything

A_FEW = InFlight(per_organization=5, overall=12)
DUNNING = """
    name: Dunning
    trigger: {type: invoice_overdue, days: 7}
    steps: [{type: send_sms, text: Please pay.}]
"""


@pytest.fixture(scope="module")
async def shared_database(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """One database for these tests, which empty it one after another."""
    async with new_database(postgres, TEMPLATE) as url:
        yield url


@pytest.fixture
async def database_url(shared_database: str) -> str:
    """That database, with nothing in it."""
    await delete_everything(shared_database)
    return shared_database


@pytest.fixture
async def offices(database_url: str) -> AsyncIterator[list[Office]]:
    """Four companies that thank for every completed job."""
    async with AsyncExitStack() as stack:
        companies = [
            await stack.enter_async_context(await Office.open(database_url, f"Company {number}"))
            for number in range(4)
        ]
        for company in companies:
            await company.apply(ON_COMPLETION)
        yield companies


@pytest.fixture
def launcher() -> RecordingLauncher:
    return RecordingLauncher()


@pytest.fixture
def relay(engine_database: Database, launcher: RecordingLauncher, database_url: str) -> Relay:
    """A relay that the test drives by hand."""
    return Relay(engine_database, launcher, EventSignal(database_url), bounds=A_FEW)


async def enter_jobs(office: Office, count: int, first: int = 1) -> None:
    """Enter jobs of a company, as if that had been relayed."""
    await office.query(
        "INSERT INTO jobs (organization_id, id, status)"
        " SELECT %s, 'J-' || n, 'scheduled' FROM generate_series(%s::int, %s::int) n",
        office.organization_id,
        first,
        first + count - 1,
    )
    await office.query(
        "UPDATE automation_events SET processed_at = now() WHERE organization_id = %s",
        office.organization_id,
    )


async def complete_jobs(office: Office, count: int, first: int = 1) -> None:
    """Complete that many jobs of a company at once; nothing but this waits for the relay."""
    await enter_jobs(office, count, first)
    await office.query(
        "UPDATE jobs SET status = 'completed' WHERE organization_id = %s AND status = 'scheduled'",
        office.organization_id,
    )
    # A change of status is also an edit, which nobody here listens for.
    await office.query(
        "UPDATE automation_events SET processed_at = now()"
        " WHERE organization_id = %s AND event_type <> 'job_status_changed'",
        office.organization_id,
    )


async def sweep(office: Office, count: int) -> None:
    """Record what a sweep would find: invoices 1, 2, … a week overdue."""
    dunning = (await office.apply(DUNNING)).automation
    await office.query(
        "INSERT INTO automation_events (organization_id, event_type, subject_type, subject_id,"
        " automation_id, occurrence_key, data)"
        " SELECT %s, 'invoice_overdue', 'invoice', n, %s, 'invoice_overdue/' || n || '/7',"
        """ '{"days": 7}' FROM generate_series(1, %s::int) n""",
        office.organization_id,
        dunning.id,
        count,
    )


async def begin(office: Office) -> None:
    """Let what was launched of a company begin, as a worker would."""
    await office.query(
        "UPDATE automation_execution_logs SET status = 'running'"
        " WHERE organization_id = %s AND status = 'pending' AND launched_at IS NOT NULL",
        office.organization_id,
    )


def launched_of(launcher: RecordingLauncher, office: Office) -> list[str]:
    return [e.subject_id for e in launcher.asked if e.organization_id == office.organization_id]


async def claimed(database: Database, batch: int) -> list[tuple[UUID, int]]:
    """Return whose events a claim takes, with their ids; and leave them."""
    async with database.transaction() as connection:
        found = await claim_events(connection, batch)
    return [(event.organization_id, event.id) for event in found.events]


class TestClaimingInTurns:
    """However much happened in one company, another's event is in the next batch."""

    async def test_one_event_of_another_is_not_behind_hundreds(
        self, offices: list[Office], engine_database: Database
    ) -> None:
        large, small, *_ = offices
        await complete_jobs(large, 3 * BATCH)
        await complete_jobs(small, 1)
        batch = Counter(owner for owner, _ in await claimed(engine_database, BATCH))
        assert batch == {large.organization_id: BATCH - 1, small.organization_id: 1}

    async def test_what_nobody_else_needs_is_shared(
        self, offices: list[Office], engine_database: Database
    ) -> None:
        for office, count in zip(offices, (40, 20, 4, 1), strict=True):
            await complete_jobs(office, count)
        batch = Counter(owner for owner, _ in await claimed(engine_database, 25))
        assert [batch[office.organization_id] for office in offices] == [10, 10, 4, 1]

    async def test_each_has_its_oldest_first(
        self, offices: list[Office], engine_database: Database
    ) -> None:
        for office in offices:
            await complete_jobs(office, 10)
        batch = await claimed(engine_database, 12)
        for office in offices:
            oldest = await office.query(
                "SELECT id FROM automation_events WHERE organization_id = %s"
                " AND processed_at IS NULL ORDER BY id LIMIT 3",
                office.organization_id,
            )
            ours = [id_ for owner, id_ in batch if owner == office.organization_id]
            assert ours == [row["id"] for row in oldest]

    async def test_where_there_are_more_companies_than_room_the_longest_wait_ends_first(
        self, offices: list[Office], engine_database: Database
    ) -> None:
        """Else those with a small id would take every turn."""
        for office in sorted(offices, key=lambda each: each.organization_id, reverse=True):
            await complete_jobs(office, 5)
        first, second = sorted((o.organization_id for o in offices), reverse=True)[:2]
        assert [owner for owner, _ in await claimed(engine_database, 2)] == [first, second]

    async def test_two_relays_take_turns_too(
        self, offices: list[Office], engine_database: Database
    ) -> None:
        large, small, *_ = offices
        await complete_jobs(large, 20)
        await complete_jobs(small, 4)
        async with engine_database.transaction() as one, engine_database.transaction() as other:
            first = await claim_events(one, 6)
            second = await claim_events(other, 6)
        taken = [event.id for event in (*first.events, *second.events)]
        assert len(set(taken)) == len(taken) >= 10
        assert {event.organization_id for event in first.events} == {
            large.organization_id,
            small.organization_id,
        }


class TestRoom:
    """What there is no room for waits as a pending execution, in the order of its company."""

    async def test_no_more_is_launched_than_may_be_on_its_way(
        self, offices: list[Office], relay: Relay, launcher: RecordingLauncher
    ) -> None:
        office = offices[0]
        await complete_jobs(office, 20)
        await relay_everything(relay)
        executions = await office.executions()
        assert [e["status"] for e in executions] == ["pending"] * 20
        assert launched_of(launcher, office) == [e["subject_id"] for e in executions[:5]]
        assert await relay.launch_waiting() == 0

    async def test_as_some_begin_the_next_follow_in_their_order(
        self, offices: list[Office], relay: Relay, launcher: RecordingLauncher
    ) -> None:
        office = offices[0]
        await complete_jobs(office, 13)
        await relay_everything(relay)
        while len(launcher.asked) < 13:
            await begin(office)
            assert await relay.launch_waiting() > 0
        in_order = [e["subject_id"] for e in await office.executions()]
        assert launched_of(launcher, office) == in_order
        assert await relay.launch_waiting() == 0

    async def test_what_comes_later_leaves_room_for_what_waits(
        self, offices: list[Office], relay: Relay, launcher: RecordingLauncher
    ) -> None:
        office = offices[0]
        await complete_jobs(office, 6)
        await relay_everything(relay)
        await begin(office)
        await complete_jobs(office, 5, first=7)
        await relay_everything(relay)
        await relay.launch_waiting()
        sixth = (await office.executions())[5]["subject_id"]
        assert sixth in launched_of(launcher, office)
        assert len(launcher.asked) == 10

    async def test_another_company_is_launched_at_once(
        self, offices: list[Office], relay: Relay, launcher: RecordingLauncher
    ) -> None:
        large, small, *_ = offices
        await complete_jobs(large, 20)
        await relay_everything(relay)
        await complete_jobs(small, 1)
        await relay.relay_batch()
        assert launched_of(launcher, small) == ["J-1"]

    async def test_all_together_have_a_bound_too(
        self, offices: list[Office], relay: Relay, launcher: RecordingLauncher
    ) -> None:
        for office in offices:
            await complete_jobs(office, 5)
        await relay_everything(relay)
        await relay.launch_waiting()
        assert len(launcher.asked) == A_FEW.overall

    async def test_companies_that_wait_take_turns(
        self, offices: list[Office], relay: Relay, launcher: RecordingLauncher
    ) -> None:
        """As after a stop of all, which held everybody's."""
        await offices[0].query("INSERT INTO automation_stops DEFAULT VALUES")
        for office in offices:
            await complete_jobs(office, 20)
        await relay_everything(relay)
        await offices[0].query("DELETE FROM automation_stops")
        assert await relay.launch_waiting() == LAUNCH_BATCH
        assert sorted(len(launched_of(launcher, office)) for office in offices) == [2, 2, 3, 3]

    async def test_who_has_nothing_on_its_way_comes_first_where_the_room_is_short(
        self, offices: list[Office], relay: Relay, launcher: RecordingLauncher
    ) -> None:
        """Else every place that becomes free would be taken by the herd that is oldest."""
        *herds, small = offices
        for office in herds:
            await complete_jobs(office, 20)
            await relay_everything(relay)
        await complete_jobs(small, 1)
        await relay_everything(relay)
        assert len(launcher.asked) == A_FEW.overall
        await herds[0].query(
            "UPDATE automation_execution_logs SET status = 'running' WHERE id = %s",
            launcher.asked[0].id,
        )
        assert await relay.launch_waiting() == 1
        assert len(launched_of(launcher, small)) == 1

    async def test_whoever_came_last_is_not_launched_last(
        self, offices: list[Office], relay: Relay, engine_database: Database
    ) -> None:
        """Workers that begin everything at once leave the older herds always something free."""
        await offices[0].query("INSERT INTO automation_stops DEFAULT VALUES")
        for office in offices:
            await complete_jobs(office, 30)
            await relay_everything(relay)
        await offices[0].query("DELETE FROM automation_stops")
        turns: Counter[UUID] = Counter()
        for _ in range(30):
            async with engine_database.statement() as connection:
                taken = await take_executions(
                    connection, 2, A_FEW, settled=SETTLED, relaunch_after=RELAUNCH_AFTER
                )
            turns.update(execution.organization_id for execution in taken.executions)
            await offices[0].query(
                "UPDATE automation_execution_logs SET status = 'running'"
                " WHERE status = 'pending' AND taken_at IS NOT NULL"
            )
        assert turns.total() == 60
        assert min(turns[office.organization_id] for office in offices) > 0

    async def test_what_happened_begins_before_what_a_sweep_found(
        self, offices: list[Office], relay: Relay, launcher: RecordingLauncher
    ) -> None:
        """The text "we are on our way" does not wait behind a thousand reminders of bills."""
        office = offices[0]
        await sweep(office, 30)
        await relay_everything(relay)
        assert len(launcher.asked) == 5
        await complete_jobs(office, 1)
        await relay_everything(relay)
        assert launcher.asked[-1].subject_id == "J-1"

    async def test_it_does_also_in_one_batch(
        self, offices: list[Office], relay: Relay, launcher: RecordingLauncher
    ) -> None:
        office = offices[0]
        await sweep(office, 10)
        await complete_jobs(office, 1)
        await office.query("UPDATE automation_events SET processed_at = NULL")
        await relay.relay_batch()
        assert "J-1" in launched_of(launcher, office)

    async def test_it_does_also_after_a_stop(
        self, offices: list[Office], relay: Relay, launcher: RecordingLauncher
    ) -> None:
        office = offices[0]
        await sweep(office, 30)
        await relay_everything(relay)
        await office.query("INSERT INTO automation_stops DEFAULT VALUES")
        await complete_jobs(office, 1)
        await relay_everything(relay)
        await office.query("DELETE FROM automation_stops")
        assert await relay.launch_waiting() == 1
        assert launcher.asked[-1].subject_id == "J-1"

    async def test_a_run_that_began_and_waits_takes_no_room(
        self, offices: list[Office], relay: Relay, launcher: RecordingLauncher
    ) -> None:
        office = offices[0]
        await complete_jobs(office, 5)
        await relay_everything(relay)
        await office.query("UPDATE automation_execution_logs SET status = 'waiting'")
        await complete_jobs(office, 5, first=6)
        await relay_everything(relay)
        assert len(launcher.asked) == 10


class TestSeveralRelays:
    """What one relay has taken no other launches, until it was left behind."""

    async def take(self, database: Database) -> list[UUID]:
        async with database.statement() as connection:
            taken = await take_executions(
                connection, 3, A_FEW, settled=SETTLED, relaunch_after=RELAUNCH_AFTER
            )
        return [execution.id for execution in taken.executions]

    async def test_an_execution_is_taken_by_one_of_them(
        self, offices: list[Office], relay: Relay, engine_database: Database
    ) -> None:
        await offices[0].query("INSERT INTO automation_stops DEFAULT VALUES")
        for office in offices:
            await complete_jobs(office, 5)
        await relay_everything(relay)
        await offices[0].query("DELETE FROM automation_stops")
        taken = await asyncio.gather(*(self.take(engine_database) for _ in range(6)))
        ids = [id_ for each in taken for id_ in each]
        assert len(set(ids)) == len(ids)

    async def test_one_that_dies_leaves_them_to_the_others(
        self, offices: list[Office], relay: Relay, launcher: RecordingLauncher
    ) -> None:
        office = offices[0]
        await complete_jobs(office, 8)
        await relay_everything(relay)
        await begin(office)
        launcher.dying = True
        with pytest.raises(KilledError):
            await relay.launch_waiting()
        launcher.dying = False
        assert await relay.launch_waiting() == 0
        await age(office, "taken_at", SETTLED)
        assert await relay.launch_waiting() == 3
        in_order = [e["subject_id"] for e in await office.executions()]
        assert launched_of(launcher, office) == in_order


class WorkingLauncher(RecordingLauncher):
    """Lets runs begin while it *works*, as a worker that is up does; counts its calls."""

    def __init__(self, office: Office) -> None:
        super().__init__()
        self._office = office
        self.works = True

    async def let_begin(self) -> None:
        """Begin whatever was launched, again and again."""
        while True:
            if self.works:
                await begin(self._office)
            await asyncio.sleep(0)


class TestRunning:
    """A relay that runs goes on as room appears, and rests where none does."""

    @asynccontextmanager
    async def running(self, url: str, launcher: WorkingLauncher) -> AsyncIterator[None]:
        database = Database(url, Role.ENGINE, pool_size=2)
        async with EventSignal(url) as events:
            relay = Relay(database, launcher, events, bounds=A_FEW)
            tasks = [asyncio.create_task(each) for each in (relay.run(), launcher.let_begin())]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await database.close()

    async def test_a_herd_drains_without_waiting_for_the_next_poll(
        self, offices: list[Office], database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("starter.launches.AT_LAST", timedelta(hours=1))
        office = offices[0]
        launcher = WorkingLauncher(office)
        async with self.running(database_url, launcher):
            await complete_jobs(office, 5 * LAUNCH_BATCH)

            async def all_of_it() -> bool:
                return len(set(launcher.launched)) == 5 * LAUNCH_BATCH

            await eventually(all_of_it)
        assert len(launcher.launched) == 5 * LAUNCH_BATCH

    async def test_a_worker_that_comes_back_finds_the_rest(
        self, offices: list[Office], database_url: str
    ) -> None:
        office = offices[0]
        launcher = WorkingLauncher(office)
        launcher.works = False
        async with self.running(database_url, launcher):
            await complete_jobs(office, 30)

            async def as_many_as_may_be() -> bool:
                executions = await office.executions()
                return sum(e["launched_at"] is not None for e in executions) == 5

            await eventually(as_many_as_may_be)
            assert len(launcher.launched) == 5
            launcher.works = True

            async def all_of_it() -> bool:
                return len(set(launcher.launched)) == 30

            await eventually(all_of_it)
