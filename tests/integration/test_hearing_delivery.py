"""What a run is to hear reaches it once, whatever crashes or is away meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from temporalio.client import Client, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RetryConfig, RPCError

from devstack.temporal_server import EmbeddedTemporal
from fixlify import temporal
from fixlify.domain.ids import new_id, workflow_id
from fixlify.domain.runs import Heard
from fixlify.storage.database import Database, Role
from fixlify.storage.executions import PendingExecution, begin_execution
from fixlify.storage.listen import EventSignal
from fixlify.storage.signals import Hearing, mark_delivered
from starter.hearing import Teller
from starter.launch import Launcher
from starter.launches import SETTLED
from starter.relay import Relay
from tests.office import Office
from tests.relaying import KilledError, RecordingLauncher, RecordingTeller, relay_everything

ON_NEW_JOB = """
    name: Reminder
    trigger: {type: job_created}
    steps: [{type: wait, for: 2d}, {type: send_sms, text: See you.}]
"""


@pytest.fixture
def teller() -> RecordingTeller:
    return RecordingTeller()


@pytest.fixture
def relay(engine_database: Database, teller: RecordingTeller, database_url: str) -> Relay:
    """A relay that the test drives by hand."""
    return Relay(engine_database, RecordingLauncher(), EventSignal(database_url), teller)


@pytest.fixture
async def run(office: Office, engine_database: Database, relay: Relay) -> UUID:
    """A run about the job J-2019, under way."""
    await office.apply(ON_NEW_JOB)
    await office.add_job()
    await relay_everything(relay)
    [row] = await office.executions()
    id_: UUID = row["id"]
    async with engine_database.transaction() as connection:
        await begin_execution(
            connection, id_, office.organization_id, workflow_id=workflow_id(id_), run_id="r"
        )
    return id_


async def signals(office: Office) -> list[bool]:
    """Return of each signal recorded whether it was delivered."""
    rows = await office.query("SELECT * FROM automation_signals ORDER BY event_id")
    return [row["delivered_at"] is not None for row in rows]


async def settle(office: Office) -> None:
    """Let the signals look as if their relay had had its time."""
    await office.query("UPDATE automation_signals SET created_at = created_at - %s", SETTLED)


class TestOnce:
    """A crash between commit and signal, Temporal away, two relays: each event is heard."""

    async def test_told_at_once_and_never_again(
        self, office: Office, relay: Relay, teller: RecordingTeller, run: UUID
    ) -> None:
        await office.write_status("J-2019", "cancelled")
        await relay_everything(relay)
        await settle(office)
        assert await signals(office) == [True, True]
        assert await relay.tell_left_behind() == 0
        [hearing] = teller.told
        assert hearing.execution_id == run

    async def test_a_crash_between_commit_and_signal(
        self, office: Office, relay: Relay, teller: RecordingTeller, run: UUID
    ) -> None:
        await office.write_status("J-2019", "cancelled")
        teller.dying = True
        with pytest.raises(KilledError):
            await relay.relay_batch()
        assert await signals(office) == [False, False]

        teller.dying = False
        assert await relay.tell_left_behind() == 0, "it is still in its relay's hands"
        await settle(office)
        assert await relay.tell_left_behind() == 2
        assert await relay.tell_left_behind() == 0
        [hearing] = teller.told
        assert len(hearing.event_ids) == 2

    async def test_a_crash_before_the_commit(
        self,
        office: Office,
        relay: Relay,
        teller: RecordingTeller,
        run: UUID,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        await office.write_status("J-2019", "cancelled")

        async def die(*_: Any) -> None:
            raise KilledError

        with monkeypatch.context() as patch:
            patch.setattr("starter.relay.mark_processed", die)
            with pytest.raises(KilledError):
                await relay.relay_batch()
        assert await signals(office) == []
        await relay_everything(relay)
        assert await signals(office) == [True, True]

    async def test_temporal_is_away(
        self, office: Office, relay: Relay, teller: RecordingTeller, run: UUID
    ) -> None:
        teller.away = True
        for status in ("in_progress", "completed"):
            await office.write_status("J-2019", status)
            await relay_everything(relay)
        await settle(office)
        assert await relay.tell_left_behind() == 0

        teller.away = False
        assert await relay.tell_left_behind() == 4
        assert len(teller.heard[run]) == len(set(teller.heard[run])) == 4
        assert teller.heard[run] == sorted(teller.heard[run])

    async def test_a_relay_that_tells_nobody_leaves_it_to_another(
        self, office: Office, engine_database: Database, relay: Relay, run: UUID
    ) -> None:
        silent = Relay(engine_database, RecordingLauncher(), EventSignal(office.url))
        await office.write_status("J-2019", "cancelled")
        await relay_everything(silent)
        await settle(office)
        assert await silent.tell_left_behind() == 0
        assert await relay.tell_left_behind() == 2

    async def test_two_relays_at_once(
        self, office: Office, relay: Relay, teller: RecordingTeller, run: UUID
    ) -> None:
        """They share the events, and each event is recorded for the run by one of them."""
        for number in range(150):
            await office.write_status("J-2019", f"status {number}")
        other = Database(office.url, Role.ENGINE)
        second = Relay(other, RecordingLauncher(), EventSignal(office.url), teller)
        try:
            await asyncio.gather(relay_everything(relay), relay_everything(second))
        finally:
            await other.close()
        await relay_everything(relay)
        assert len(teller.heard[run]) == len(set(teller.heard[run])) == 300
        assert all(await signals(office))

    async def test_two_sweeps_at_once_mark_once(
        self,
        office: Office,
        engine_database: Database,
        relay: Relay,
        teller: RecordingTeller,
        run: UUID,
    ) -> None:
        """Both may tell, and the run knows what it heard; the first mark stands."""
        teller.away = True
        await office.write_status("J-2019", "cancelled")
        await relay_everything(relay)
        await settle(office)
        teller.away = False
        await asyncio.gather(relay.tell_left_behind(), relay.tell_left_behind())
        marked = await office.query("SELECT delivered_at FROM automation_signals")
        async with engine_database.statement() as connection:
            await mark_delivered(connection, teller.told)
        assert marked == await office.query("SELECT delivered_at FROM automation_signals")
        assert len(set(teller.heard[run])) == 2

    async def test_an_event_that_spoils_its_batch_costs_nobody_theirs(
        self, office: Office, relay: Relay, teller: RecordingTeller, run: UUID
    ) -> None:
        await office.query("DROP FUNCTION fixlify_relatives_of")
        await office.query("""
            CREATE FUNCTION fixlify_relatives_of(organization uuid, subject_type text, subject text)
            RETURNS TABLE (relative_type text, relative_id text) LANGUAGE plpgsql STABLE AS $$
            BEGIN
                IF subject = 'J-666' THEN
                    RAISE division_by_zero;
                END IF;
                RETURN QUERY SELECT subject_type, subject;
            END $$
        """)
        await office.add_job("J-666", client_id=None)
        await office.write_status("J-2019", "cancelled")
        await relay_everything(relay)
        outcomes = {event["subject_id"]: event["outcome"] for event in await office.events()}
        assert outcomes["J-666"].startswith("failed: DivisionByZero")
        assert len(teller.heard[run]) == 2


class TestWords:
    """Who texts STOP has opted out with the commit that relays it, whatever fails beside it."""

    @pytest.mark.parametrize("spoilt", [False, True])
    async def test_a_client_texts_stop(
        self, office: Office, relay: Relay, run: UUID, spoilt: bool
    ) -> None:
        if spoilt:
            await office.query("""
                CREATE OR REPLACE FUNCTION fixlify_relatives_of(
                    organization uuid, subject_type text, subject_id text
                ) RETURNS TABLE (relative_type text, relative_id text) LANGUAGE plpgsql STABLE
                AS $$ BEGIN RAISE division_by_zero; END $$
            """)
        await office.add_inbound_message("STOP", client_id=office.newest_client_id)
        await relay_everything(relay)
        [event] = [e for e in await office.events() if e["event_type"] == "sms_received"]
        assert event["outcome"].startswith("failed") is spoilt
        assert (
            len(await office.query("SELECT channel FROM client_opt_outs WHERE channel = 'sms'"))
            == 1
        )


class TestSignals:
    """The signals themselves, at a real server."""

    @pytest.fixture
    async def started(self, temporal_client: Client) -> AsyncIterator[WorkflowHandle[Any, Any]]:
        """A workflow that no worker takes up: what it is told stays where it can be read."""
        execution = PendingExecution(
            id=new_id(),
            organization_id=new_id(),
            automation_id=new_id(),
            automation="Reminder",
            version=1,
            trigger_type="job_created",
            subject_type="job",
            subject_id="J-2019",
        )
        await Launcher(temporal_client, eager=False).launch([execution])
        handle = temporal_client.get_workflow_handle(workflow_id(execution.id))
        yield handle
        with suppress(RPCError):
            await handle.terminate()

    @staticmethod
    def of(handle: WorkflowHandle[Any, Any], *event_ids: int) -> Hearing:
        return Hearing(UUID(int=1), handle.id, event_ids)

    @staticmethod
    async def heard(client: Client, handle: WorkflowHandle[Any, Any]) -> list[tuple[int, ...]]:
        found = []
        async for event in handle.fetch_history_events():
            told = event.workflow_execution_signaled_event_attributes
            if told.signal_name == "hear":
                [heard] = await client.data_converter.decode(told.input.payloads, [Heard])
                found.append(heard.event_ids)
        return found

    async def test_one_signal_tells_of_all_events(
        self, temporal_client: Client, started: WorkflowHandle[Any, Any]
    ) -> None:
        hearing = self.of(started, 7, 8, 9)
        assert await Teller(temporal_client).tell([hearing]) == [hearing]
        assert await self.heard(temporal_client, started) == [(7, 8, 9)]

    async def test_a_run_that_has_ended_needs_to_know_no_more(
        self, temporal_client: Client, started: WorkflowHandle[Any, Any]
    ) -> None:
        unknown = replace(self.of(started, 7), workflow_id="automation/never-was")
        not_begun = replace(self.of(started, 7), workflow_id=None)
        await started.terminate()
        over = self.of(started, 7)
        everyone = [over, unknown, not_begun]
        assert await Teller(temporal_client).tell(everyone) == everyone

    async def test_one_that_fails_does_not_keep_the_others_from_hearing(
        self, temporal_client: Client, started: WorkflowHandle[Any, Any]
    ) -> None:
        """What Temporal will never take is given up; it must not block the sweep for ever."""
        refused = replace(self.of(started, 7), workflow_id="")
        fine = self.of(started, 7)
        assert await Teller(temporal_client).tell([refused, fine]) == [refused, fine]
        assert await self.heard(temporal_client, started) == [(7,)]

    async def test_a_namespace_that_is_missing_is_no_run_that_has_ended(
        self, temporal_server: EmbeddedTemporal, started: WorkflowHandle[Any, Any]
    ) -> None:
        nowhere = await temporal.connect(temporal_server.address, "nowhere")
        assert await Teller(nowhere).tell([self.of(started, 7)]) == []

    async def test_a_server_that_is_gone(self, tmp_path: Path) -> None:
        impatient = RetryConfig(max_elapsed_time_millis=100, max_retries=1)
        async with EmbeddedTemporal(tmp_path, ui=False) as server:
            client = await Client.connect(
                server.address, retry_config=impatient, data_converter=pydantic_data_converter
            )
        hearing = Hearing(UUID(int=1), "automation/1", (7,))
        assert await Teller(client).tell([hearing]) == []

    async def test_from_the_business_write_to_the_run(
        self, office: Office, engine_database: Database, temporal_client: Client
    ) -> None:
        relay = Relay(
            engine_database,
            Launcher(temporal_client, eager=False),
            EventSignal(office.url),
            Teller(temporal_client),
        )
        await office.apply(ON_NEW_JOB)
        await office.add_job()
        await relay_everything(relay)
        [row] = await office.executions()
        handle = temporal_client.get_workflow_handle(workflow_id(row["id"]))
        async with engine_database.transaction() as connection:
            await begin_execution(
                connection,
                row["id"],
                office.organization_id,
                workflow_id=handle.id,
                run_id="r",
            )
        await office.query("UPDATE jobs SET schedule_start = now() + %s", timedelta(days=3))
        await relay_everything(relay)
        moved = [e["id"] for e in await office.events() if e["event_type"] == "job_scheduled"]
        [told] = await self.heard(temporal_client, handle)
        assert set(moved) < set(told)
        assert await signals(office) == [True, True]
        await handle.terminate()
