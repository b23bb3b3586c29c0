"""What the relay takes last, what it keeps for one automation, and what it holds back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from fixlify.domain.automation import START_WITHIN
from fixlify.domain.lateness import OVERDUE_CATCH_UP
from fixlify.storage.database import Database
from fixlify.storage.events import SWEPT_PER_BATCH
from fixlify.storage.executions import PendingExecution
from fixlify.storage.launching import InFlight
from fixlify.storage.listen import EventSignal
from starter.launches import LAUNCH_BATCH, SETTLED
from starter.relay import BATCH, Relay
from tests.engine import eventually
from tests.office import Office
from tests.relaying import (
    ON_ANY_CHANGE,
    ON_COMPLETION,
    RecordingLauncher,
    age,
    outcomes,
    relay_everything,
)

DUNNING = """
    name: Dunning
    trigger: {type: invoice_overdue, days: 7}
    steps: [{type: send_sms, text: Please pay.}]
"""


@pytest.fixture
def launcher() -> RecordingLauncher:
    return RecordingLauncher()


@pytest.fixture
def relay(engine_database: Database, launcher: RecordingLauncher, database_url: str) -> Relay:
    """A relay that the test drives by hand."""
    return Relay(engine_database, launcher, EventSignal(database_url))


async def sweep(office: Office, automation_id: UUID, count: int = 1) -> None:
    """Record what a sweep would: invoices 1, 2, … a week overdue."""
    await office.query(
        "INSERT INTO automation_events (organization_id, event_type, subject_type, subject_id,"
        " automation_id, occurrence_key, data)"
        " SELECT %s, 'invoice_overdue', 'invoice', n, %s, 'invoice_overdue/' || n || '/7',"
        """ '{"days": 7}' FROM generate_series(1, %s) n""",
        office.organization_id,
        automation_id,
        count,
    )


class TestWhatASweepFound:
    """A herd at nine o'clock must not delay the text "we are on our way"."""

    async def test_it_waits_behind_what_happened_just_now(
        self, office: Office, relay: Relay
    ) -> None:
        dunning = (await office.apply(DUNNING)).automation
        await office.apply(ON_COMPLETION)
        await sweep(office, dunning.id, 3 * BATCH)
        await office.write_status(await office.add_job(), "completed")
        await relay.relay_batch()

        kinds = [e["trigger_type"] for e in await office.executions()]
        assert kinds.count("job_completed") == 1
        assert kinds.count("invoice_overdue") == SWEPT_PER_BATCH

    async def test_all_of_it_is_taken_in_the_end(self, office: Office, relay: Relay) -> None:
        dunning = (await office.apply(DUNNING)).automation
        await sweep(office, dunning.id, 2 * SWEPT_PER_BATCH + 1)
        await relay_everything(relay)
        assert len(await office.executions()) == 2 * SWEPT_PER_BATCH + 1

    async def test_it_reaches_one_automation_once(self, office: Office, relay: Relay) -> None:
        dunning = (await office.apply(DUNNING)).automation
        await office.apply(DUNNING.replace("Dunning", "Another"))
        await sweep(office, dunning.id)
        await relay_everything(relay)
        (execution,) = await office.executions()
        assert execution["automation_id"] == dunning.id
        assert execution["occurrence_key"] == "invoice_overdue/1/7"
        assert execution["subject_type"] == "invoice"

    async def test_it_is_dropped_where_the_automation_listens_no_more(
        self, office: Office, relay: Relay
    ) -> None:
        dunning = (await office.apply(DUNNING)).automation
        await sweep(office, dunning.id)
        await office.query("UPDATE automation_workflows SET status = 'paused'")
        await relay_everything(relay)
        assert await office.executions() == []
        assert [e["outcome"] for e in await office.events()] == ["nothing matched"]


class TestWhatBecameTooLate:
    """Nobody wants a reminder of a visit that is over, however it was held up."""

    async def test_a_run_that_could_not_begin_in_time_is_skipped(
        self, office: Office, relay: Relay, launcher: RecordingLauncher
    ) -> None:
        """Temporal was away, or a stop stood, for longer than the reminder is good for."""
        dunning = (await office.apply(DUNNING)).automation
        launcher.away = True
        await sweep(office, dunning.id)
        await relay_everything(relay)
        (execution,) = await office.executions()
        assert execution["good_until"] - execution["occurred_at"] == OVERDUE_CATCH_UP

        await age(office, "good_until", OVERDUE_CATCH_UP)
        await age(office, "taken_at", SETTLED)
        launcher.away = False
        await relay.expire()
        assert await relay.launch_waiting() == 0
        (execution,) = await office.executions()
        assert execution["status"] == "skipped"
        assert execution["reason"].startswith("too late: it could not begin before 20")
        assert execution["completed_at"] is not None

    async def test_it_is_skipped_also_while_a_stop_stands(
        self, office: Office, relay: Relay
    ) -> None:
        """Whoever resumes is asked about what can still be sent, and nothing else."""
        dunning = (await office.apply(DUNNING)).automation
        await office.query("INSERT INTO automation_stops (reason) VALUES ('wrong text')")
        await sweep(office, dunning.id)
        await relay_everything(relay)
        await age(office, "good_until", OVERDUE_CATCH_UP)
        await relay.expire()
        assert [status for status, _ in await outcomes(office)] == ["skipped"]

    async def test_what_somebody_did_can_begin_for_as_long_as_the_automation_says(
        self, office: Office, relay: Relay, launcher: RecordingLauncher
    ) -> None:
        """Temporal was away over a long weekend: Monday's thanks are not sent on Friday."""
        await office.apply(ON_COMPLETION)
        await office.apply(ON_ANY_CHANGE + "    start_within: 2h")
        launcher.away = True
        await office.write_status(await office.add_job(), "completed")
        await relay_everything(relay)
        executions = await office.executions()
        good_for = {e["trigger_type"]: e["good_until"] - e["occurred_at"] for e in executions}
        assert good_for == {
            "job_completed": START_WITHIN,
            "job_status_changed": timedelta(hours=2),
        }

        await age(office, "good_until", timedelta(hours=2))
        await age(office, "taken_at", SETTLED)
        launcher.away = False
        await relay.expire()
        assert await relay.launch_waiting() == 1
        standing = {e["trigger_type"]: e["status"] for e in await office.executions()}
        assert standing == {"job_completed": "pending", "job_status_changed": "skipped"}

    async def test_a_relay_that_comes_back_does_not_send_old_news(
        self, office: Office, relay: Relay
    ) -> None:
        """A burst of stale rows once went out weeks late as spam."""
        await office.apply(ON_COMPLETION)
        await office.query("UPDATE automation_workflows SET activated_at = now() - interval '1 y'")
        for number in range(3):
            await office.write_status(await office.add_job(f"J-{number}"), "completed")
        await office.query("UPDATE automation_events SET occurred_at = occurred_at - interval '3w'")
        await office.write_status(await office.add_job("J-9"), "completed")
        await relay_everything(relay)
        statuses = [status for status, _ in await outcomes(office)]
        assert statuses == ["skipped"] * 3 + ["pending"]
        reasons = {reason for _, reason in await outcomes(office)} - {None}
        assert reasons == {
            "happened 30240 minutes before a relay came to it; it begins at most 3d late"
        }


class TestWhatWasBefore:
    """An automation listens from the moment it becomes active."""

    async def test_an_old_event_sets_off_no_new_automation(
        self, office: Office, relay: Relay
    ) -> None:
        """A relay that was down for a night comes back after the office has changed things."""
        await office.write_status(await office.add_job(), "completed")
        await office.apply(ON_COMPLETION)
        await relay_everything(relay)
        assert await office.executions() == []

    async def test_switching_it_off_and_on_begins_anew(self, office: Office, relay: Relay) -> None:
        await office.apply(ON_COMPLETION)
        job = await office.add_job()
        await office.query("UPDATE automation_workflows SET status = 'paused'")
        await office.write_status(job, "completed")
        await office.query("UPDATE automation_workflows SET status = 'active'")
        await relay_everything(relay)
        assert await office.executions() == []

    async def test_a_new_version_goes_on_listening(self, office: Office, relay: Relay) -> None:
        await office.apply(ON_COMPLETION)
        await office.write_status(await office.add_job(), "completed")
        await office.apply(ON_COMPLETION.replace("Thank you.", "Thanks!"))
        await relay_everything(relay)
        assert await outcomes(office) == [("pending", None)]


class TestTheEmergencyStop:
    """What matches while a stop stands is recorded, and launched when it is lifted."""

    @pytest.mark.parametrize("everybody", [False, True])
    async def test_a_match_stays_pending_until_the_stop_is_lifted(
        self, office: Office, relay: Relay, launcher: RecordingLauncher, everybody: bool
    ) -> None:
        await office.apply(ON_COMPLETION)
        stopped = None if everybody else office.organization_id
        await office.query("INSERT INTO automation_stops (organization_id) VALUES (%s)", stopped)
        await office.write_status(await office.add_job(), "completed")
        await relay_everything(relay)
        await age(office, "taken_at", SETTLED)
        assert await relay.launch_waiting() == 0
        assert await outcomes(office) == [("pending", None)]
        assert launcher.launched == []

        await office.query("DELETE FROM automation_stops")
        await relay.launch_waiting()
        assert launcher.launched == [e["id"] for e in await office.executions()]

    async def test_another_company_goes_on(
        self, office: Office, database_url: str, relay: Relay, launcher: RecordingLauncher
    ) -> None:
        """An emergency stop once stopped everybody."""
        async with await Office.open(database_url, "Harbor Plumbing") as other:
            await office.query(
                "INSERT INTO automation_stops (organization_id) VALUES (%s)",
                other.organization_id,
            )
            for company in (office, other):
                await company.apply(ON_COMPLETION)
                await company.write_status(await company.add_job(), "completed")
            await relay_everything(relay)
            assert launcher.launched == [e["id"] for e in await office.executions()]

    async def test_many_that_are_held_do_not_hide_one_that_is_not(
        self, office: Office, database_url: str, relay: Relay, launcher: RecordingLauncher
    ) -> None:
        """The sweep launches the oldest first, some at a time."""
        async with await Office.open(database_url, "Harbor Plumbing") as other:
            for company in (other, office):
                await company.apply(ON_COMPLETION)
            launcher.away = True
            await other.query(
                "INSERT INTO jobs (organization_id, id, status)"
                " SELECT %s, generate_series(1, %s), 'new'",
                other.organization_id,
                BATCH + 1,
            )
            await other.query("UPDATE jobs SET status = 'completed'")
            await office.write_status(await office.add_job(), "completed")
            await relay_everything(relay)
            await other.query(
                "INSERT INTO automation_stops (organization_id) VALUES (%s)",
                other.organization_id,
            )
            await age(office, "taken_at", SETTLED)
            launcher.away = False
            launcher.asked.clear()
            assert await relay.launch_waiting() == 1
            assert launcher.launched == [e["id"] for e in await office.executions()]

    async def test_thousands_that_go_on_do_not_delay_another_company(
        self,
        office: Office,
        database_url: str,
        engine_database: Database,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """They are launched without waiting, and what happens meanwhile comes between them."""
        monkeypatch.setattr("starter.launches.AT_LAST", timedelta(hours=1))
        held = 4 * LAUNCH_BATCH + 1
        job = await office.add_job()
        launcher = BusyLauncher(lambda: office.write_status(job, "completed"))
        # These runs never begin, and are not to wait for that.
        plenty = InFlight(per_organization=1000, overall=1000)
        relay = Relay(engine_database, launcher, EventSignal(database_url), bounds=plenty)
        async with await Office.open(database_url, "Harbor Plumbing") as other:
            for company in (other, office):
                await company.apply(ON_COMPLETION)
            await hold_many(other, held)
            await relay_everything(relay)
            await age(other, "taken_at", SETTLED)
            await other.query("DELETE FROM automation_stops")

            running = asyncio.create_task(relay.run())
            try:

                async def everything() -> bool:
                    return len(launcher.asked) == held + 1

                await eventually(everything)
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
        companies = [each.organization_id for each in launcher.asked]
        assert LAUNCH_BATCH <= companies.index(office.organization_id) < held


class BusyLauncher(RecordingLauncher):
    """Has something happen during its first launch."""

    def __init__(self, happen: Callable[[], Awaitable[None]]) -> None:
        super().__init__()
        self._happen = happen

    async def launch(self, executions: Sequence[PendingExecution]) -> list[UUID]:
        is_first, launched = not self.asked, await super().launch(executions)
        if is_first:
            await self._happen()
        elif len(executions) == LAUNCH_BATCH:
            # A server takes a while; what happened is relayed beside it.
            await eventually(self._is_relayed)
        return launched

    async def _is_relayed(self) -> bool:
        return len({each.organization_id for each in self.asked}) == 2


async def hold_many(office: Office, count: int) -> None:
    """Complete *count* jobs of a company that is stopped."""
    await office.query(
        "INSERT INTO automation_stops (organization_id) VALUES (%s)", office.organization_id
    )
    await office.query(
        "INSERT INTO jobs (organization_id, id, status) SELECT %s, generate_series(1, %s), 'new'",
        office.organization_id,
        count,
    )
    await office.query(
        "UPDATE jobs SET status = 'completed' WHERE organization_id = %s", office.organization_id
    )
