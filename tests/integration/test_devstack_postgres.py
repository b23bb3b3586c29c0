"""The embedded Postgres starts anywhere, keeps its data, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from devstack.postgres import EmbeddedPostgres, find_binaries
from devstack.privileges import known_people, launch_for
from fixlify.domain.errors import DevstackError
from tests.integration.devstack_owner import (
    Owner,
    eventually,
    nothing_is_left_of,
    processes_of,
)

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and prctl")
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root needs it")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a cluster that has been stopped, to be copied."""

    async def make() -> Path:
        folder = tmp_path_factory.mktemp("cluster") / "postgres"
        async with EmbeddedPostgres(folder, durable=False) as server:
            await write_row(server.dsn("fixlify"), "kept")
        return folder

    return asyncio.run(make())


@pytest.fixture
def folder(cluster: Path, tmp_path: Path) -> Path:
    """A folder whose database ``fixlify`` holds the row ``kept``; nothing runs there."""
    copy = tmp_path / "postgres"
    shutil.copytree(cluster, copy)
    # Another test may listen on the port that is written there.
    (copy / "port").unlink()
    return copy


async def write_row(dsn: str, value: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS rows (value text)")
        await connection.execute("INSERT INTO rows VALUES (%s)", [value])


async def rows(server: EmbeddedPostgres) -> list[str]:
    async with await psycopg.AsyncConnection.connect(server.dsn("fixlify")) as connection:
        cursor = await connection.execute("SELECT value FROM rows")
        return [value for (value,) in await cursor.fetchall()]


async def setting(server: EmbeddedPostgres, name: str) -> str:
    async with await psycopg.AsyncConnection.connect(server.dsn()) as connection:
        cursor = await connection.execute("SELECT current_setting(%s)", [name])
        row = await cursor.fetchone()
        assert row is not None
        return str(row[0])


def postmaster_pid(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().split()[0])


async def test_the_first_start_makes_a_private_cluster(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "postgres"
    async with EmbeddedPostgres(folder, durable=False) as server:
        await write_row(server.dsn("fixlify"), "first")
        async with await psycopg.AsyncConnection.connect(server.dsn("fixlify")) as connection:
            cursor = await connection.execute(
                "SELECT datlocprovider, datlocale, pg_encoding_to_char(encoding)"
                " FROM pg_database WHERE datname = current_database()"
            )
            assert await cursor.fetchone() == ("b", "C.UTF-8", "UTF8")
        assert await setting(server, "listen_addresses") == "127.0.0.1"
        assert await setting(server, "unix_socket_directories") == ""
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "data").stat().st_mode & 0o777 == 0o700
    assert (folder / "password").stat().st_mode & 0o777 == 0o600


async def test_nobody_gets_in_without_the_password(folder: Path) -> None:
    async with EmbeddedPostgres(folder, durable=False) as server:
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            await psycopg.AsyncConnection.connect(server.dsn(password="guess"))
        assert await setting(server, "password_encryption") == "scram-sha-256"


async def test_a_commit_survives_a_power_failure_unless_told_otherwise(folder: Path) -> None:
    async with EmbeddedPostgres(folder) as server:
        assert await setting(server, "fsync") == "on"
        assert await setting(server, "synchronous_commit") == "on"
    async with EmbeddedPostgres(folder, durable=False) as server:
        assert await setting(server, "fsync") == "off"


async def test_it_comes_back_with_its_data_on_its_port(folder: Path) -> None:
    async with EmbeddedPostgres(folder, durable=False) as server:
        port = server.port
        await write_row(server.dsn("fixlify"), "more")
    async with EmbeddedPostgres(folder, durable=False) as server:
        assert await rows(server) == ["kept", "more"]
        assert server.port == port


async def test_it_moves_when_its_port_is_taken(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        taken = squatter.getsockname()[1]
        (folder / "port").write_text(str(taken))
        async with EmbeddedPostgres(folder, durable=False) as server:
            assert server.port != taken
            assert await rows(server) == ["kept"]


async def test_it_tries_again_when_somebody_is_faster(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between our look at a port and the server's bind, the port may go."""
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        taken = squatter.getsockname()[1]
        (folder / "port").write_text(str(taken))
        # Only a lie about the port gets us into that moment.
        monkeypatch.setattr("devstack.ports.is_free", lambda port: True)
        async with EmbeddedPostgres(folder, durable=False) as server:
            assert server.port != taken


async def test_a_demanded_port_that_is_taken_is_an_error(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        taken = squatter.getsockname()[1]
        with pytest.raises(DevstackError, match=f"port {taken} for Postgres is taken"):
            await EmbeddedPostgres(folder, taken, durable=False).start()


async def test_a_running_server_is_adopted_and_left_running(folder: Path) -> None:
    async with EmbeddedPostgres(folder, durable=False) as owner:
        async with EmbeddedPostgres(folder) as guest:
            assert guest.adopted
            assert not owner.adopted
            assert guest.dsn() == owner.dsn()
        assert await rows(owner) == ["kept"]


async def test_two_first_starts_at_once_make_one_cluster(tmp_path: Path) -> None:
    one, two = (EmbeddedPostgres(tmp_path, durable=False) for _ in range(2))
    try:
        await asyncio.gather(one.start(), two.start())
        assert sorted([one.adopted, two.adopted]) == [False, True]
        assert one.dsn() == two.dsn()
    finally:
        await asyncio.gather(one.stop(), two.stop())


def start(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        return subprocess.Popen(command, stderr=file)


@pytest.fixture
async def server_by_hand(folder: Path) -> AsyncIterator[Path]:
    """The folder, with a server on it that somebody started without us."""
    postgres = find_binaries() / "postgres"
    launch = launch_for(postgres, folder)
    command = [*launch.prefix, str(postgres), "-D", str(folder / "data"), "-p", "0"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        command[-1] = str(probe.getsockname()[1])
    command += ["-c", "unix_socket_directories=", "-c", "listen_addresses=127.0.0.1"]
    process = start(command, folder / "by-hand.log")
    status = folder / "data" / "postmaster.pid"
    await eventually(lambda: status.exists() and "ready" in status.read_text(), "it is ready")
    yield folder
    process.send_signal(signal.SIGINT)
    process.wait(timeout=30)


async def test_a_server_started_by_hand_is_adopted_and_left_running(server_by_hand: Path) -> None:
    async with EmbeddedPostgres(server_by_hand) as guest:
        assert guest.adopted
        assert await rows(guest) == ["kept"]
    async with EmbeddedPostgres(server_by_hand) as guest:
        assert guest.adopted


@linux_only
async def test_a_server_that_refuses_our_password_is_not_touched(server_by_hand: Path) -> None:
    (server_by_hand / "password").write_text("another")
    pid = postmaster_pid(server_by_hand)
    with pytest.raises(DevstackError, match=f"process {pid} .* refuses our password"):
        await EmbeddedPostgres(server_by_hand).start()
    os.kill(pid, 0)


async def test_it_recovers_after_the_server_was_killed(folder: Path) -> None:
    server = EmbeddedPostgres(folder, durable=False)
    await server.start()
    try:
        await write_row(server.dsn("fixlify"), "committed")
        os.kill(postmaster_pid(folder), signal.SIGKILL)
        assert await server.wait() == 128 + signal.SIGKILL
        await server.start()
        assert await rows(server) == ["kept", "committed"]
    finally:
        await server.stop()


async def test_a_pid_file_whose_number_went_to_a_stranger_is_no_obstacle(folder: Path) -> None:
    """After a restart of the machine or container the old number is somebody else."""
    async with EmbeddedPostgres(folder, durable=False) as server:
        lines = (folder / "data" / "postmaster.pid").read_text().splitlines()
        assert server.port
    lines[0] = str(os.getpid())
    (folder / "data" / "postmaster.pid").write_text("\n".join(lines) + "\n")
    async with EmbeddedPostgres(folder, durable=False) as server:
        assert await rows(server) == ["kept"]


async def test_a_copy_of_a_folder_does_not_adopt_the_original(folder: Path, tmp_path: Path) -> None:
    """The copied pid file names a server that answers, knows the password, and is not ours."""
    copy = tmp_path / "copy"
    async with EmbeddedPostgres(folder, durable=False) as original:
        status = (folder / "data" / "postmaster.pid").read_text()
        port = original.port
    shutil.copytree(folder, copy)
    (copy / "data" / "postmaster.pid").write_text(status)
    async with (
        EmbeddedPostgres(folder, port, durable=False) as original,
        EmbeddedPostgres(copy, durable=False) as server,
    ):
        assert not server.adopted
        assert server.port != original.port


async def test_a_first_start_that_was_killed_starts_over(tmp_path: Path) -> None:
    first = asyncio.create_task(EmbeddedPostgres(tmp_path, durable=False).start())
    await eventually(lambda: bool(list(tmp_path.glob("data*/PG_VERSION"))), "initdb is at work")
    os.kill(int((tmp_path / "running.lock").read_text()), signal.SIGKILL)
    with pytest.raises(DevstackError, match="initdb failed"):
        await first
    async with EmbeddedPostgres(tmp_path, durable=False) as server:
        await write_row(server.dsn("fixlify"), "first")


async def test_a_start_that_is_cancelled_leaves_nothing_running(tmp_path: Path) -> None:
    start = asyncio.create_task(EmbeddedPostgres(tmp_path, durable=False).start())
    await eventually(lambda: bool(processes_of(tmp_path)), "something runs")
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert not processes_of(tmp_path)


async def test_a_server_that_cannot_start_says_why_and_lets_go(folder: Path) -> None:
    version = folder / "data" / "PG_VERSION"
    version.write_text("12\n")
    server = EmbeddedPostgres(folder, durable=False)
    with pytest.raises(DevstackError, match="initialized by PostgreSQL version 12"):
        await server.start()
    version.write_text("18\n")
    async with EmbeddedPostgres(folder, durable=False) as repaired:
        assert not repaired.adopted
        assert await rows(repaired) == ["kept"]


async def test_a_lost_password_says_what_to_do(folder: Path) -> None:
    (folder / "password").unlink()
    with pytest.raises(DevstackError, match="password is missing; restore it, or remove"):
        await EmbeddedPostgres(folder, durable=False).start()
    await nothing_is_left_of(folder)


async def test_a_dying_server_is_not_adopted(folder: Path) -> None:
    """Its guard is at it: who comes at that moment waits and starts a server of their own."""
    async with Owner("postgres", folder) as owner:
        await asyncio.to_thread(owner.kill, signal.SIGKILL)
        async with EmbeddedPostgres(folder, durable=False) as server:
            assert not server.adopted
            assert await rows(server) == ["kept"]


@linux_only
async def test_the_server_goes_when_its_guard_is_killed(folder: Path) -> None:
    server = EmbeddedPostgres(folder, durable=False)
    await server.start()
    try:
        guards = [line for line in processes_of(folder) if "guard.py" in line]
        os.kill(int(guards[0].split()[0]), signal.SIGKILL)
        await nothing_is_left_of(folder, server.port)
        await server.start()
        assert await rows(server) == ["kept"]
    finally:
        await server.stop()


@pytest.fixture
def as_a_normal_user() -> list[str]:
    """Words before a command that take root's rights away; these tests may run as root."""
    person = known_people()[0]
    words = ["unshare", "--user", f"--map-user={person.pw_uid}", f"--map-group={person.pw_gid}"]
    if subprocess.run([*words, "true"], capture_output=True).returncode != 0:
        pytest.skip("user namespaces are off, and other users cannot read our interpreter")
    return [*words, "--"]


@root_only
async def test_a_normal_user_needs_no_privileges(folder: Path, as_a_normal_user: list[str]) -> None:
    async with Owner("postgres", folder, through=as_a_normal_user) as owner:
        await write_row(owner.report["dsn"], "committed")
        listing = "\n".join(processes_of(folder))
        assert "/postgres -D" in listing
        assert "unshare" not in listing
        await asyncio.to_thread(owner.kill, signal.SIGTERM)
        await nothing_is_left_of(folder, *owner.report["ports"])


def without_user_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devstack.privileges.shutil.which", lambda name: None)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder every user can reach, which pytest's are not."""
    parent = Path(tempfile.mkdtemp(prefix="fixlify-"))
    parent.chmod(0o755)
    folder = parent / "postgres"
    folder.mkdir()
    yield folder
    shutil.rmtree(parent)


def user_of(path: Path) -> int:
    return path.stat().st_uid


@root_only
async def test_without_user_namespaces_root_becomes_somebody_else(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_user_namespaces(monkeypatch)
    try:
        launch_for(find_binaries() / "postgres", open_folder)
    except DevstackError:
        pytest.skip("no other user can read the Postgres of this environment")
    for expected in (["again"], ["again", "again"]):
        async with EmbeddedPostgres(open_folder, durable=False) as server:
            await write_row(server.dsn("fixlify"), "again")
            assert await rows(server) == expected
            user = user_of(Path(f"/proc/{postmaster_pid(open_folder)}"))
            assert user != 0
            assert user_of(open_folder / "password") == user
    assert not processes_of(open_folder)


@root_only
async def test_where_nothing_works_the_error_names_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else can reach pytest's folders: they are root's alone."""
    without_user_namespaces(monkeypatch)
    with pytest.raises(DevstackError, match="set FIXLIFY_DATABASE_URL"):
        await EmbeddedPostgres(tmp_path / "postgres").start()
    assert user_of(tmp_path / "postgres") == 0


async def test_a_password_or_name_with_odd_characters_makes_a_valid_dsn(folder: Path) -> None:
    async with EmbeddedPostgres(folder, durable=False) as server:
        async with await psycopg.AsyncConnection.connect(
            server.dsn(), autocommit=True
        ) as connection:
            await connection.execute("""CREATE ROLE "odd@name" LOGIN PASSWORD 'p@ss/w:rd?' """)
        dsn = server.dsn("fixlify", user="odd@name", password="p@ss/w:rd?")
        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            cursor = await connection.execute("SELECT current_user")
            assert await cursor.fetchone() == ("odd@name",)
