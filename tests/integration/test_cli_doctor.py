"""The doctor sees what is wrong, says what to do, and takes no error for health."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType, TaskQueueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, RegisterNamespaceRequest
from temporalio.client import Client

from cli.checks.triggers import TRIGGERS
from devstack.mail import MailCatcher
from devstack.postgres import EmbeddedPostgres
from devstack.sms import SmsCatcher
from devstack.temporal_server import EmbeddedTemporal
from fixlify import temporal
from fixlify.settings import variables
from tests.clones import new_database
from tests.command_line import CommandLine, Said
from tests.engine import eventually, running_engine
from tests.office import Office

# Nobody may listen on this port, and nobody without rights can.
DEAD = 1


@pytest.fixture
def settings(
    office: Office, temporal_server: EmbeddedTemporal, mail: MailCatcher, phone: SmsCatcher
) -> dict[str, str]:
    """The settings of an engine whose every server is there."""
    return {
        "FIXLIFY_DATABASE_URL": office.url,
        "TEMPORAL_ADDRESS": temporal_server.address,
        "FIXLIFY_SMTP_URL": mail.url,
        "TWILIO_ACCOUNT_SID": phone.account_sid,
        "TWILIO_AUTH_TOKEN": phone.auth_token,
        "TWILIO_FROM_NUMBER": "+15005550100",
        "TWILIO_BASE_URL": phone.base_url,
        "FIXLIFY_PUBLIC_URL": "https://automations.example.com",
        "FIXLIFY_LINK_SECRET": "a key that nobody guesses",
    }


@pytest.fixture
async def bare_namespace(temporal_client: Client) -> str:
    """A namespace that has nothing in it: no search attributes, no workers."""
    name = f"bare-{uuid4().hex[:8]}"
    await temporal_client.workflow_service.register_namespace(
        RegisterNamespaceRequest(
            namespace=name, workflow_execution_retention_period=Duration(seconds=86_400)
        )
    )
    return name


def found(said: Said) -> dict[str, dict[str, Any]]:
    """Return the findings of ``doctor --json`` by what was checked."""
    findings = {finding["check"]: finding for finding in said.document}
    assert len(findings) == len(said.document), "no check speaks twice"
    for finding in said.document:
        assert set(finding) == {"check", "status", "detail", "remedy"}
        assert finding["status"] in ("ok", "warning", "failed")
        assert bool(finding["remedy"]) == (finding["status"] != "ok"), finding
    failures = [finding for finding in said.document if finding["status"] == "failed"]
    assert said.code == (1 if failures else 0)
    assert said.err == ""
    return findings


def statuses(findings: dict[str, dict[str, Any]], section: str) -> dict[str, str]:
    """Return the statuses of one section, by the rest of the check's name."""
    return {
        check.removeprefix(section).removeprefix("."): finding["status"]
        for check, finding in findings.items()
        if check.partition(".")[0] == section
    }


async def diagnose(**settings: str) -> dict[str, dict[str, Any]]:
    return found(await CommandLine(**settings).run("doctor", "--json"))


async def test_a_running_engine_is_in_order(
    settings: dict[str, str],
    office: Office,
    temporal_client: Client,
    mail: MailCatcher,
    phone: SmsCatcher,
) -> None:
    async def polled() -> bool:
        described = [
            await temporal_client.workflow_service.describe_task_queue(
                DescribeTaskQueueRequest(
                    namespace="default",
                    task_queue=TaskQueue(name=queue),
                    task_queue_type=kind,
                )
            )
            for queue, kind in (
                ("automations", TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW),
                ("email", TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY),
                ("sms", TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY),
                ("sweeps", TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY),
            )
        ]
        return all(queue.pollers for queue in described)

    async with running_engine(office, temporal_client, mail, phone):
        await eventually(polled)
        findings = await diagnose(**settings)
        said = await CommandLine(**settings).run("doctor")

    assert {finding["status"] for finding in findings.values()} == {"ok"}
    assert said.code == 0
    assert said.lines[-1] == "Everything is in order."
    assert {line.strip()[0] for line in said.lines if line.startswith("  ")} <= {"✓", "→"} | set(
        "abcdefghijklmnopqrstuvwxyz0123456789"
    )


async def test_every_setting_is_listed_and_no_secret_is_shown(settings: dict[str, str]) -> None:
    said = await CommandLine(**settings).run("doctor", "--json")
    findings = {each["check"]: each for each in said.document}

    assert [check for check in findings if check.startswith("settings.")] == [
        f"settings.{name}" for name in variables()
    ]
    assert findings["settings.FIXLIFY_DATABASE_URL"]["detail"] == "set"
    assert findings["settings.TWILIO_AUTH_TOKEN"]["detail"] == "set"
    assert findings["settings.TEMPORAL_ADDRESS"]["detail"] == settings["TEMPORAL_ADDRESS"]
    assert findings["settings.TEMPORAL_NAMESPACE"]["detail"] == "default (default)"
    assert findings["settings.TWILIO_MESSAGING_SERVICE_SID"]["detail"] == "not set"
    password = psycopg.conninfo.conninfo_to_dict(settings["FIXLIFY_DATABASE_URL"])["password"]
    for secret in (str(password), settings["TWILIO_AUTH_TOKEN"]):
        assert secret not in said.out


async def test_without_settings_everything_says_what_to_set() -> None:
    findings = await diagnose(TEMPORAL_ADDRESS=f"127.0.0.1:{DEAD}")

    assert findings["settings.FIXLIFY_DATABASE_URL"]["status"] == "failed"
    assert "postgresql://user:password@host" in findings["settings.FIXLIFY_DATABASE_URL"]["remedy"]
    assert statuses(findings, "database") == {"reachable": "failed"}
    assert "`make dev`" in findings["database.reachable"]["remedy"]
    assert statuses(findings, "temporal") == {"reachable": "failed"}
    assert findings["email"]["status"] == "failed"
    assert "FIXLIFY_SMTP_URL" in findings["email"]["remedy"]
    assert findings["sms"]["status"] == "warning"
    assert "TWILIO_ACCOUNT_SID" in findings["sms"]["remedy"]


async def test_a_wrong_setting_is_named_and_the_rest_still_looked_at(
    settings: dict[str, str],
) -> None:
    findings = await diagnose(**settings | {"FIXLIFY_MAIL_FROM": "nobody"})
    assert findings["settings.FIXLIFY_MAIL_FROM"]["status"] == "failed"
    assert "must be a bare address" in findings["settings.FIXLIFY_MAIL_FROM"]["detail"]
    assert findings["database.reachable"]["status"] == "ok"
    assert findings["email"]["status"] == "ok"


async def test_a_database_url_of_another_kind_is_not_tried(settings: dict[str, str]) -> None:
    findings = await diagnose(**settings | {"FIXLIFY_DATABASE_URL": "mysql://x:sesame@y/z"})
    assert findings["settings.FIXLIFY_DATABASE_URL"]["detail"] == "must start with postgresql://"
    assert statuses(findings, "database") == {"reachable": "failed"}
    assert "sesame" not in str(findings)


async def test_a_dead_database_hides_nothing_else(settings: dict[str, str]) -> None:
    url = f"postgresql://fixlify:sesame@127.0.0.1:{DEAD}/fixlify"
    findings = await diagnose(**settings | {"FIXLIFY_DATABASE_URL": url})

    assert statuses(findings, "database") == {"reachable": "failed"}
    assert "Connection refused" in findings["database.reachable"]["detail"]
    assert "sesame" not in str(findings)
    assert findings["temporal.reachable"]["status"] == "ok"
    assert findings["email"]["status"] == "ok"


async def test_a_dead_temporal_hides_nothing_else(settings: dict[str, str]) -> None:
    findings = await diagnose(**settings | {"TEMPORAL_ADDRESS": f"127.0.0.1:{DEAD}"})

    assert statuses(findings, "temporal") == {"reachable": "failed"}
    detail = findings["temporal.reachable"]["detail"]
    assert detail == f"127.0.0.1:{DEAD} does not answer: Connection refused"
    assert set(statuses(findings, "database").values()) == {"ok"}
    assert findings["sms"]["status"] == "ok"


@pytest.fixture
def silence() -> Iterator[int]:
    """A port that takes every connection and never says a word."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield listener.getsockname()[1]


async def test_what_never_answers_keeps_nobody_waiting(
    settings: dict[str, str], silence: int
) -> None:
    mute = {
        "FIXLIFY_DATABASE_URL": f"postgresql://fixlify:sesame@127.0.0.1:{silence}/fixlify",
        "TEMPORAL_ADDRESS": f"127.0.0.1:{silence}",
        "FIXLIFY_SMTP_URL": f"smtp://127.0.0.1:{silence}",
        "TWILIO_BASE_URL": f"http://127.0.0.1:{silence}",
    }
    findings = found(
        await CommandLine(**settings | mute).run("doctor", "--json", "--timeout", "1s")
    )
    for section in ("database", "temporal", "email", "sms"):
        assert findings[section]["status"] == "failed", section
        assert "no answer within 1.0 s" in findings[section]["detail"]


async def test_a_process_ends_although_temporal_never_answers(silence: int) -> None:
    environment = dict.fromkeys(variables(), "") | {"TEMPORAL_ADDRESS": f"127.0.0.1:{silence}"}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cli",
        "doctor",
        "--json",
        "--timeout",
        "1s",
        env=environment,
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert (process.returncode, err) == (1, b"")
    findings = found(Said(1, out.decode(), ""))
    assert "no answer within" in findings["temporal"]["detail"]


async def test_a_database_that_was_not_migrated_needs_migrating(
    postgres: EmbeddedPostgres, settings: dict[str, str]
) -> None:
    async with new_database(postgres) as url:
        findings = await diagnose(**settings | {"FIXLIFY_DATABASE_URL": url})
    assert statuses(findings, "database") == {
        "reachable": "ok",
        "version": "ok",
        "schema": "failed",
    }
    assert findings["database.schema"]["remedy"] == "Run `fixlify migrate`."


@pytest.mark.parametrize(
    ("damage", "check", "status", "says"),
    [
        (
            "UPDATE alembic_version SET version_num = '0000'",
            "schema",
            "failed",
            "at revision 0000, this program needs",
        ),
        ("DELETE FROM alembic_version", "schema", "failed", "nothing was migrated"),
        (
            "DROP TRIGGER fixlify_job_recorded ON jobs",
            "triggers",
            "failed",
            "missing on jobs: fixlify_job_recorded",
        ),
        (
            "ALTER TABLE jobs DISABLE TRIGGER fixlify_job_recorded",
            "triggers",
            "failed",
            "disabled on jobs: fixlify_job_recorded",
        ),
        (
            "ALTER TABLE jobs ENABLE REPLICA TRIGGER fixlify_job_recorded",
            "triggers",
            "failed",
            "disabled on jobs: fixlify_job_recorded",
        ),
        (
            "ALTER TABLE tasks DISABLE TRIGGER fixlify_task_recorded;"
            " ALTER TABLE clients DISABLE TRIGGER fixlify_client_recorded",
            "triggers",
            "failed",
            "disabled on clients: fixlify_client_recorded; tasks: fixlify_task_recorded",
        ),
        (
            "ALTER TABLE jobs RENAME TO visits; CREATE VIEW jobs AS SELECT * FROM visits",
            "triggers",
            "warning",
            "'jobs' is a view",
        ),
        (
            "INSERT INTO automation_events (event_type, subject_type) VALUES ('x', 'job')",
            "events",
            "ok",
            "1 events wait for the relay, the oldest for",
        ),
        (
            "INSERT INTO automation_events (event_type, subject_type, occurred_at)"
            " VALUES ('x', 'job', now() - interval '2 min')",
            "events",
            "warning",
            "the oldest for 2 min",
        ),
        (
            "INSERT INTO automation_events (event_type, subject_type, occurred_at)"
            " VALUES ('x', 'job', now() - interval '3 h')",
            "events",
            "failed",
            "the oldest for 3 h",
        ),
    ],
)
async def test_what_is_wrong_in_the_database_is_seen(
    office: Office, settings: dict[str, str], damage: str, check: str, status: str, says: str
) -> None:
    async with await psycopg.AsyncConnection.connect(office.url, autocommit=True) as connection:
        await connection.execute(damage.encode())

    findings = await diagnose(**settings)

    assert findings[f"database.{check}"]["status"] == status
    assert says in findings[f"database.{check}"]["detail"]


async def test_pending_executions_and_unknown_outcomes_are_seen(
    office: Office, settings: dict[str, str]
) -> None:
    applied = await office.apply(
        "name: Thanks\ntrigger: {type: job_completed}\nsteps: [{type: send_sms, text: x}]"
    )
    for number, status in enumerate(("pending", "failed")):
        execution = await office.insert(
            "automation_execution_logs",
            id=uuid4(),
            organization_id=office.organization_id,
            automation_id=applied.automation.id,
            automation_version=1,
            occurrence_key=f"event/{number}",
            subject_type="job",
            subject_id="J-1",
            trigger_type="job_completed",
            trigger_value="completed",
            trigger_data="{}",
            occurred_at="2026-01-01T00:00:00Z",
            created_at="2026-01-01T00:00:00Z",
            status=status,
        )
    await office.insert(
        "messages",
        id=uuid4(),
        organization_id=office.organization_id,
        execution_id=execution["id"],
        step_id="x",
        channel="sms",
        recipient_kind="client",
        status="unknown",
    )

    findings = await diagnose(**settings)

    assert findings["database.executions"]["status"] == "failed"
    assert findings["database.executions"]["detail"].startswith("1 executions wait")
    assert findings["database.messages"]["status"] == "warning"
    assert "1 messages with an unknown outcome" in findings["database.messages"]["detail"]


async def test_a_user_who_may_not_take_a_role_is_told_how_to_get_it(
    office: Office, settings: dict[str, str]
) -> None:
    user = f"clerk_{uuid4().hex[:8]}"
    async with AsyncExitStack() as stack:
        admin = await stack.enter_async_context(
            await psycopg.AsyncConnection.connect(office.url, autocommit=True)
        )
        await admin.execute(f"CREATE ROLE {user} LOGIN PASSWORD 'sesame'".encode())
        stack.push_async_callback(admin.execute, f"DROP ROLE {user}".encode())
        await admin.execute(f"GRANT SELECT ON alembic_version TO {user}".encode())
        stack.push_async_callback(admin.execute, f"DROP OWNED BY {user}".encode())
        url = psycopg.conninfo.conninfo_to_dict(office.url)
        clerk = f"postgresql://{user}:sesame@{url['host']}:{url['port']}/{url['dbname']}"

        findings = await diagnose(**settings | {"FIXLIFY_DATABASE_URL": clerk})

    assert statuses(findings, "database") == {
        "reachable": "ok",
        "version": "ok",
        "schema": "ok",
        "role.fixlify_app": "failed",
        "role.fixlify_engine": "failed",
        "triggers": "ok",
    }
    remedy = findings["database.role.fixlify_app"]["remedy"]
    assert remedy == f"As its owner: GRANT fixlify_app TO {user};"


async def test_the_triggers_that_are_looked_for_are_those_that_migrations_make(
    office: Office,
) -> None:
    rows = await office.query(
        "SELECT tgrelid::regclass::text AS table, tgname FROM pg_trigger WHERE NOT tgisinternal"
    )
    made = {(row["table"], row["tgname"]) for row in rows}
    assert made == {(table, name) for table, names in TRIGGERS.items() for name in names}


async def test_a_namespace_that_is_not_there_is_named(settings: dict[str, str]) -> None:
    findings = await diagnose(**settings | {"TEMPORAL_NAMESPACE": "nowhere"})
    assert statuses(findings, "temporal") == {"reachable": "ok", "namespace": "failed"}
    assert "namespace create --namespace nowhere" in findings["temporal.namespace"]["remedy"]


async def test_missing_search_attributes_and_workers_are_seen(
    settings: dict[str, str], bare_namespace: str
) -> None:
    findings = await diagnose(**settings | {"TEMPORAL_NAMESPACE": bare_namespace})
    assert statuses(findings, "temporal") == {
        "reachable": "ok",
        "namespace": "ok",
        "search_attributes": "failed",
        "queue.automations": "failed",
        "queue.email": "failed",
        "queue.sms": "failed",
        "queue.webhooks": "failed",
        "queue.sweeps": "failed",
    }
    remedy = findings["temporal.search_attributes"]["remedy"]
    assert all(f"--name {key.name} --type Keyword" in remedy for key in temporal.SEARCH_ATTRIBUTES)
    assert findings["temporal.queue.sms"]["remedy"] == "Run `fixlify worker`."


async def test_a_search_attribute_of_another_type_is_seen(
    settings: dict[str, str], bare_namespace: str, temporal_client: Client
) -> None:
    text, keyword = (
        IndexedValueType.INDEXED_VALUE_TYPE_TEXT,
        IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    )
    names = [key.name for key in temporal.SEARCH_ATTRIBUTES]
    await temporal_client.operator_service.add_search_attributes(
        AddSearchAttributesRequest(
            namespace=bare_namespace,
            search_attributes=dict.fromkeys(names, keyword) | {names[0]: text},
        )
    )

    async def detail() -> str | None:
        findings = await diagnose(**settings | {"TEMPORAL_NAMESPACE": bare_namespace})
        said: str = findings["temporal.search_attributes"]["detail"]
        return said if names[1] not in said else None

    assert await eventually(detail) == f"not registered as Keyword: {names[0]}"


@pytest.fixture
async def stopped_mail() -> str:
    """The address of a mail server that has gone."""
    async with MailCatcher() as catcher:
        return catcher.url


async def test_providers_that_are_away_have_failed(
    settings: dict[str, str], stopped_mail: str
) -> None:
    findings = await diagnose(
        **settings
        | {"FIXLIFY_SMTP_URL": stopped_mail, "TWILIO_BASE_URL": f"http://127.0.0.1:{DEAD}"}
    )
    assert findings["email"]["status"] == "failed"
    assert findings["sms"]["status"] == "failed"


async def test_a_wrong_token_is_seen(settings: dict[str, str]) -> None:
    findings = await diagnose(**settings | {"TWILIO_AUTH_TOKEN": "0" * 32})
    assert findings["sms"]["status"] == "failed"


async def test_a_mail_address_that_makes_no_sense_is_seen(settings: dict[str, str]) -> None:
    findings = await diagnose(**settings | {"FIXLIFY_SMTP_URL": "http://x:sesame@mail"})
    assert findings["email"]["status"] == "failed"
    assert "sesame" not in str(findings)


@pytest.mark.parametrize("missing", ["FIXLIFY_PUBLIC_URL", "FIXLIFY_LINK_SECRET"])
async def test_marketing_without_a_link_to_unsubscribe_is_seen(
    settings: dict[str, str], missing: str
) -> None:
    del settings[missing]
    found = (await diagnose(**settings))["email.unsubscribe"]
    assert found["status"] == "warning"
    assert found["remedy"].startswith(f"Set {missing}, for workers")


async def test_failures_are_printed_with_what_to_do(settings: dict[str, str]) -> None:
    said = await CommandLine(**settings | {"TEMPORAL_ADDRESS": f"127.0.0.1:{DEAD}"}).run("doctor")
    assert said.code == 1
    assert "  ✓  schema" in said.out
    assert "  ✗  reachable  127.0.0.1:1 does not answer: Connection refused" in said.lines
    assert any(
        line.strip().startswith("→ Start it, or correct TEMPORAL_ADDRESS") for line in said.lines
    )
    assert said.lines[-1] == "1 failed, 0 to look at."
