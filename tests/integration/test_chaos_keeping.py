"""What chaos kills comes back, as under a service manager, also where it is killed again."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from benchmarks.chaos.keeping import Kept
from benchmarks.chaos.programs import KeptProgram
from benchmarks.chaos.servers import KeptServer
from devstack.postgres import EmbeddedPostgres
from tests.engine import eventually

SAYS = "ready"
# Says that it is ready, and which release it is; then it waits to be ended.
PROGRAM = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("{release} is {says}", flush=True)
time.sleep(600)
"""
PATIENCE = timedelta(seconds=30)


def release(folder: Path, name: str) -> Path:
    """Write a release whose ``fixlify`` does nothing but run."""
    package = folder / name / "cli"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(PROGRAM.format(release=name, says=SAYS))
    return folder / name


@pytest.fixture
async def program(tmp_path: Path) -> AsyncIterator[KeptProgram]:
    kept = KeptProgram(
        "worker",
        release=release(tmp_path, "first"),
        folder=tmp_path / "programs",
        settings={},
        says=SAYS,
    )
    await kept.start()
    try:
        yield kept
    finally:
        await kept.stop()


async def is_back(part: Kept, times: int = 1) -> bool:
    return part.is_up and len(part.recoveries) >= times


async def test_a_killed_program_comes_back(program: KeptProgram) -> None:
    before = program.pid

    assert await program.kill()
    assert not program.freeze(), "there is nothing to freeze"
    assert not program.is_up
    assert program.is_recovering
    await program.wait_until_up(PATIENCE)

    assert program.pid not in (None, before)
    assert len(program.recoveries) == 1
    assert not program.surprises


async def test_what_is_killed_while_it_starts_comes_back_all_the_same(
    program: KeptProgram,
) -> None:
    assert await program.kill()
    assert await program.kill()
    await program.wait_until_up(PATIENCE)

    assert program.is_up


async def test_what_ends_by_itself_comes_back_and_is_told(program: KeptProgram) -> None:
    pid = program.pid
    assert pid is not None
    os.kill(pid, 15)

    await eventually(lambda: is_back(program))
    assert program.surprises == ["the worker ended by itself: first is ready\n"]


async def test_a_deployment_runs_the_next_release(program: KeptProgram, tmp_path: Path) -> None:
    await program.deploy(release(tmp_path, "second"), PATIENCE)

    assert program.last_words() == "first is ready\nsecond is ready\n"
    assert not program.surprises


async def test_what_is_stopped_stays_away(program: KeptProgram) -> None:
    pid = program.pid
    assert pid is not None
    assert program.freeze()
    await program.stop()

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_killed_database_has_its_data_and_says_since_when_it_was_away(
    tmp_path: Path,
) -> None:
    server = EmbeddedPostgres(tmp_path / "postgres", durable=False)
    kept = KeptServer("postgres", server)
    await kept.start()
    try:
        async with await psycopg.AsyncConnection.connect(
            server.dsn("fixlify"), autocommit=True
        ) as connection:
            await connection.execute("CREATE TABLE kept AS SELECT 1 AS row")
        assert kept.was_there_since(0)

        assert await kept.kill()
        assert await kept.kill()
        assert not kept.was_there_since(0)
        await kept.wait_until_up(PATIENCE)

        async with await psycopg.AsyncConnection.connect(server.dsn("fixlify")) as connection:
            cursor = await connection.execute("SELECT row FROM kept")
            assert await cursor.fetchone() == (1,)
        assert not kept.was_there_since(0)
    finally:
        await kept.stop()
