"""``fixlify starter --http`` as a process: beside the relay or alone, until it is told to stop."""

from __future__ import annotations

import asyncio
import json
import socket
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from devstack.ports import any_free_port
from devstack.temporal_server import EmbeddedTemporal
from fixlify.domain.api_keys import key_hash, new_key
from fixlify.storage.api_keys import create_api_key
from fixlify.storage.database import Database
from starter.http.service import listen
from tests.command_line import CommandLine
from tests.engine import eventually
from tests.office import Office
from tests.processes import fixlify


@pytest.fixture
async def key(office: Office, app_database: Database) -> str:
    key = new_key()
    async with app_database.organization(office.organization_id) as connection:
        await create_api_key(
            connection, office.organization_id, "website", key.prefix, key_hash(key.text)
        )
    return key.text


@asynccontextmanager
async def starter(
    office: Office, log: Path, key: str, *options: str, temporal: str = "127.0.0.1:1"
) -> AsyncIterator[tuple[Process, httpx2.AsyncClient]]:
    """Run a starter, and yield it with a client that has a key, once it answers."""
    port = any_free_port()
    settings = {
        "FIXLIFY_DATABASE_URL": office.url,
        "FIXLIFY_LOG_FORMAT": "json",
        "FIXLIFY_LOG_LEVEL": "debug",
        "FIXLIFY_HTTP_PORT": str(port),
        "TEMPORAL_ADDRESS": temporal,
    }
    async with (
        fixlify("starter", "--http", *options, settings=settings, log=log) as process,
        httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{port}/api/v1", headers={"Authorization": f"Bearer {key}"}
        ) as client,
    ):

        async def answers() -> bool:
            assert process.returncode is None, f"it ended; see {log}"
            try:
                return (await client.get("/health")).status_code == 200
            except httpx2.TransportError:
                return False

        await eventually(answers)
        yield process, client


async def test_it_takes_events_without_temporal_and_hands_them_to_the_relay_beside_it(
    office: Office, key: str, tmp_path: Path, temporal_server: EmbeddedTemporal
) -> None:
    async def is_relayed() -> Any:
        rows = await office.query("SELECT outcome FROM automation_events WHERE id = %s", int(event))
        return rows[0]["outcome"]

    async with starter(office, tmp_path / "log", key, "--no-relay") as (_, client):
        (reported,) = (await client.post("/events", json={"name": "a"})).json()["events"]
        event = reported["id"]
        assert await is_relayed() is None
    async with starter(office, tmp_path / "log", key, temporal=temporal_server.address):
        assert await eventually(is_relayed) == "nothing matched"


async def test_it_says_everything_in_our_own_format_and_no_secret(
    office: Office, key: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with starter(office, log, key) as (process, client):
        assert (await client.post("/events", json={"name": "a"})).status_code == 202
        await client.get("/nowhere")
        process.terminate()
        assert await process.wait() == 0
    said = [json.loads(line) for line in log.read_text().splitlines()]
    sentences = [line["event"] for line in said]
    assert "The HTTP API is running." in sentences
    assert "Temporal is away; waiting for it. Nothing is lost meanwhile." in sentences
    assert sentences[-1] == "The HTTP API has stopped."
    assert key not in log.read_text()


async def test_a_request_under_way_is_answered_before_it_stops(
    office: Office, key: str, tmp_path: Path, database_url: str
) -> None:
    async with (
        starter(office, tmp_path / "log", key, "--no-relay") as (process, client),
        await psycopg.AsyncConnection.connect(database_url) as other,
    ):
        # Whoever records an event has to wait for this one.
        await other.execute("LOCK TABLE automation_events IN EXCLUSIVE MODE")
        under_way = asyncio.create_task(client.post("/events", json={"name": "a"}))

        async def waits() -> Any:
            return await office.query(
                "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                "AND datname = current_database()"
            )

        await eventually(waits)
        process.terminate()

        async def hangs_up() -> bool:
            try:
                await client.get("/health")
            except httpx2.TransportError:
                return True
            return False

        await eventually(hangs_up)
        assert process.returncode is None
        await other.rollback()
        assert (await under_way).status_code == 202
        assert await process.wait() == 0


def test_an_answer_waits_for_no_confirmation_of_its_first_half() -> None:
    with (
        listen("127.0.0.1", 0) as listening,
        socket.create_connection(listening.getsockname()),
        listening.accept()[0] as connection,
    ):
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_port_that_is_taken_is_named(database_url: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with fixlify(
            *("starter", "--http", "--no-relay", "--port", str(port)),
            settings={"FIXLIFY_DATABASE_URL": database_url},
            log=log,
        ) as process:
            assert await process.wait() == 1
    (line,) = log.read_text().splitlines()
    assert f"cannot listen on 127.0.0.1 port {port}: address already in use" in line
    assert "FIXLIFY_HTTP_PORT" in line


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--no-relay"], "leaves nothing to run"),
        (["--port", "80"], "add --http"),
        (["--http", "--port", "70000"], "not in the range"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: list[str], words: str) -> None:
    said = CommandLine().fixlify("starter", *options)
    assert said.code == 2
    assert words in said.err
