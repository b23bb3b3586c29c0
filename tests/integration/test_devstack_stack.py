"""The whole stack starts with one call, tells where it is, and is gone when its owner is."""

from __future__ import annotations

import asyncio
import os
import signal
import smtplib
import socket
from collections.abc import Mapping
from pathlib import Path

import httpx2
import psycopg
import pytest
from temporalio.client import Client

from devstack.ports import is_free
from devstack.running import read_running_stack
from devstack.stack import DevStack, Ports
from fixlify.domain.errors import DevstackError
from fixlify.settings import variables
from tests.engine import eventually
from tests.integration.devstack_owner import Owner, nothing_is_left_of, processes_of

GIVEN = {
    "FIXLIFY_DATABASE_URL": "postgresql://somebody@db.example.com/company",
    "TEMPORAL_ADDRESS": "temporal.example.com:7233",
    "TEMPORAL_NAMESPACE": "company",
    "FIXLIFY_SMTP_URL": "smtp://mail.example.com:25",
    "TWILIO_ACCOUNT_SID": "AC" + "1" * 32,
    "TWILIO_AUTH_TOKEN": "given",
    "TWILIO_MESSAGING_SERVICE_SID": "MG" + "1" * 32,
}
CATCHERS_ONLY = {name: GIVEN[name] for name in ("FIXLIFY_DATABASE_URL", "TEMPORAL_ADDRESS")}


def stack_in(home: Path, environment: Mapping[str, str] | None = None) -> DevStack:
    """A stack that takes nobody's usual ports."""
    return DevStack(
        home, usual_ports=Ports(), ui=False, durable=False, environment=environment or {}
    )


def ports_in(environment: Mapping[str, str]) -> list[int]:
    names = ("TEMPORAL_ADDRESS", "FIXLIFY_SMTP_URL", "TWILIO_BASE_URL")
    ports = [int(environment[name].rpartition(":")[2]) for name in names]
    database = psycopg.conninfo.conninfo_to_dict(environment["FIXLIFY_DATABASE_URL"])
    return [*ports, int(str(database["port"]))]


async def test_every_part_answers_where_the_environment_says(tmp_path: Path) -> None:
    async with stack_in(tmp_path) as stack:
        environment = stack.environment()
        dsn = environment["FIXLIFY_DATABASE_URL"]
        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            cursor = await connection.execute("SELECT current_database()")
            assert await cursor.fetchone() == ("fixlify",)
        await Client.connect(
            environment["TEMPORAL_ADDRESS"], namespace=environment["TEMPORAL_NAMESPACE"]
        )
        mail_port = int(environment["FIXLIFY_SMTP_URL"].rpartition(":")[2])
        await asyncio.to_thread(smtplib.SMTP("", 0).connect, "127.0.0.1", mail_port)
        account = environment["TWILIO_ACCOUNT_SID"]
        async with httpx2.AsyncClient(
            auth=(account, environment["TWILIO_AUTH_TOKEN"]), trust_env=False
        ) as http:
            answer = await http.get(
                f"{environment['TWILIO_BASE_URL']}/2010-04-01/Accounts/{account}.json"
            )
        assert answer.status_code == 200
    assert all(is_free(port) for port in ports_in(environment))
    assert not processes_of(tmp_path)


async def test_the_environment_holds_settings_that_exist(tmp_path: Path) -> None:
    async with stack_in(tmp_path, CATCHERS_ONLY) as stack:
        assert set(stack.environment()) <= set(variables())


async def test_what_is_given_is_used_and_not_started(tmp_path: Path) -> None:
    async with stack_in(tmp_path, GIVEN) as stack:
        assert stack.environment() == GIVEN
        assert stack.ui_url is None
        assert (stack.postgres, stack.temporal, stack.mail, stack.sms) == (None,) * 4
        assert not processes_of(tmp_path)


async def test_the_phone_is_to_call_the_api_back_and_links_lead_there(tmp_path: Path) -> None:
    """The key of the links stays from run to run, so that yesterday's emails still work."""
    keys = []
    for _ in range(2):
        stack = DevStack(
            tmp_path, usual_ports=Ports(), ui=False, api=True, environment=CATCHERS_ONLY
        )
        async with stack:
            told = stack.environment()
            assert told["FIXLIFY_PUBLIC_URL"] == f"http://127.0.0.1:{stack.api_port}"
            assert is_free(stack.api_port)
            found = read_running_stack(tmp_path)
            assert found is not None
            assert found["FIXLIFY_PUBLIC_URL"] == told["FIXLIFY_PUBLIC_URL"]
        keys.append(told["FIXLIFY_LINK_SECRET"])
    assert keys[0] == keys[1]
    assert len(keys[0]) >= 32
    assert permissions(tmp_path / "links.key") == {0o600}


async def test_the_real_twilio_is_not_asked_to_call_this_machine(tmp_path: Path) -> None:
    async with DevStack(
        tmp_path, usual_ports=Ports(), ui=False, api=True, environment=GIVEN
    ) as stack:
        assert "FIXLIFY_PUBLIC_URL" not in stack.environment()
    given = GIVEN | {"FIXLIFY_PUBLIC_URL": "https://automations.example.com"}
    async with DevStack(
        tmp_path, usual_ports=Ports(), ui=False, api=True, environment=given
    ) as stack:
        assert stack.environment()["FIXLIFY_PUBLIC_URL"] == given["FIXLIFY_PUBLIC_URL"]


async def test_an_empty_setting_is_not_a_given_one(tmp_path: Path) -> None:
    async with stack_in(tmp_path, {**CATCHERS_ONLY, "FIXLIFY_SMTP_URL": ""}) as stack:
        assert stack.mail is not None
        assert stack.environment()["FIXLIFY_SMTP_URL"] == stack.mail.url


async def test_others_find_the_running_stack_and_only_that(tmp_path: Path) -> None:
    assert read_running_stack(tmp_path) is None
    async with stack_in(tmp_path, CATCHERS_ONLY) as stack:
        found = read_running_stack(tmp_path)
        assert found == {**stack.environment(), "ui_url": None, "pid": os.getpid()}
        assert permissions(tmp_path / "stack.json") == {0o600}
    assert read_running_stack(tmp_path) is None
    assert not (tmp_path / "stack.json").exists()


async def test_a_second_stack_on_one_home_is_refused(tmp_path: Path) -> None:
    async with stack_in(tmp_path, CATCHERS_ONLY) as stack:
        refused = stack_in(tmp_path, CATCHERS_ONLY)
        with pytest.raises(DevstackError, match=f"process {os.getpid()} runs the stack in"):
            await refused.start()
        # It must not take the running one's announcement away.
        await refused.stop()
        found = read_running_stack(tmp_path)
        assert found is not None
        assert found["FIXLIFY_SMTP_URL"] == stack.environment()["FIXLIFY_SMTP_URL"]
    async with stack_in(tmp_path, CATCHERS_ONLY):
        pass


@pytest.fixture
def open_home(tmp_path: Path) -> Path:
    """A folder that was there before, for everybody to look into."""
    tmp_path.chmod(0o755)
    return tmp_path


def permissions(*paths: Path) -> set[int]:
    return {path.stat().st_mode & 0o777 for path in paths}


async def test_a_home_that_exists_keeps_its_permissions(open_home: Path) -> None:
    """What we put into it is ours alone."""
    async with stack_in(open_home, CATCHERS_ONLY) as stack:
        assert permissions(stack.home) == {0o755}
        assert permissions(stack.home / "mail", stack.home / "sms") == {0o700}
        assert permissions(stack.home / "stack.json", stack.home / "stack.lock") == {0o600}


async def test_a_home_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DevstackError, match="Not a directory; choose another"):
        await stack_in(tmp_path / "file" / "home").start()


async def test_when_one_part_cannot_start_none_is_left(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        ports = Ports(temporal=squatter.getsockname()[1])
        stack = DevStack(tmp_path, ports=ports, usual_ports=Ports(), ui=False, durable=False)
        with pytest.raises(DevstackError, match=f"port {ports.temporal} for Temporal is taken"):
            await stack.start()

    async def none_is_left() -> bool:
        # Postgres may be asked for its version at that moment; the answer takes milliseconds.
        return not processes_of(tmp_path)

    await eventually(none_is_left)
    assert read_running_stack(tmp_path) is None
    async with stack_in(tmp_path, CATCHERS_ONLY):
        pass


async def test_demanded_and_usual_ports_are_taken(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        demanded, usual = one.getsockname()[1], two.getsockname()[1]
    async with DevStack(
        tmp_path,
        ports=Ports(mail=demanded),
        usual_ports=Ports(sms=usual),
        environment=CATCHERS_ONLY,
    ) as stack:
        environment = stack.environment()
        assert environment["FIXLIFY_SMTP_URL"] == f"smtp://127.0.0.1:{demanded}"
        assert environment["TWILIO_BASE_URL"] == f"http://127.0.0.1:{usual}"
        async with DevStack(
            tmp_path / "second", usual_ports=Ports(sms=usual), environment=CATCHERS_ONLY
        ) as second:
            assert second.environment()["TWILIO_BASE_URL"] != f"http://127.0.0.1:{usual}"
        with pytest.raises(DevstackError, match=f"port {demanded} for the mail catcher is taken"):
            await DevStack(
                tmp_path / "third", ports=Ports(mail=demanded), environment=CATCHERS_ONLY
            ).start()


async def test_a_server_that_ends_by_itself_is_told(tmp_path: Path) -> None:
    given = {name: GIVEN[name] for name in ("TEMPORAL_ADDRESS", "FIXLIFY_SMTP_URL")}
    async with stack_in(tmp_path, given) as stack:
        assert stack.postgres is not None
        pid = int((stack.postgres.folder / "running.lock").read_text())
        watch = asyncio.create_task(stack.wait())
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(
            DevstackError, match=r"Postgres ended by itself with exit code 137.*log"
        ):
            await watch


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_nothing_outlives_its_owner(tmp_path: Path, number: signal.Signals) -> None:
    async with Owner("stack", tmp_path) as owner:
        dsn = owner.report["FIXLIFY_DATABASE_URL"]
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
            await connection.execute("CREATE TABLE kept AS SELECT 'row' AS value")
        client = await Client.connect(owner.report["TEMPORAL_ADDRESS"])
        await client.start_workflow("nobody", id="kept", task_queue="nobody")
        await asyncio.to_thread(owner.kill, number)
        await nothing_is_left_of(tmp_path, *ports_in(owner.report))
        assert read_running_stack(tmp_path) is None

    async with stack_in(tmp_path) as stack:
        environment = stack.environment()
        dsn = environment["FIXLIFY_DATABASE_URL"]
        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            cursor = await connection.execute("SELECT value FROM kept")
            assert await cursor.fetchone() == ("row",)
        client = await Client.connect(environment["TEMPORAL_ADDRESS"])
        assert (await client.get_workflow_handle("kept").describe()).id == "kept"
        # Whoever remembers an address from before finds the same server there.
        for name in ("FIXLIFY_DATABASE_URL", "TEMPORAL_ADDRESS"):
            assert environment[name] == owner.report[name]
