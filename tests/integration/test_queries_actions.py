"""Every statement behind what steps write, and behind redrives and cancellations, uses an index."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import psycopg
import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection

from devstack.postgres import EmbeddedPostgres
from fixlify.domain.events import SubjectType
from fixlify.storage.actions import read_record, write_record
from fixlify.storage.database import Database, Role
from tests.explaining import (
    Reads,
    check,
    check_plan,
    check_plan_for_any_parameters,
    explain,
    statement_called,
)
from tests.grown import AUTOMATION, COMPANY, DATABASE, JOB, ROW, acting_as, grown_database

ITS_OWN: Final = {"organization_id": COMPANY}
THESE: Final = {**ITS_OWN, "ids": [ROW]}
STEP: Final = {"execution_id": ROW, "step_id": "text"}
OPEN: Final = {
    "automation_execution_logs_pending_idx",
    "automation_execution_logs_open_idx|automation_execution_logs_client_idx",
}
MESSAGES_OF: Final = "messages_execution_id_step_id_key"

ACTIONS: Final[dict[str, Reads]] = {
    "actions._FIND": Reads(STEP, {"automation_actions_pkey"}),
    "actions._SETTLE": Reads(
        {**STEP, "status": "completed", "reason": None, "detail": "{}"},
        {"automation_actions_pkey"},
    ),
    "actions._TAKE": Reads(
        {**STEP, **ITS_OWN, "kind": "update"}, {"automation_execution_logs_pkey"}
    ),
    "redrive._FIND": Reads(THESE, {"automation_execution_logs_pkey", MESSAGES_OF}, Role.APP),
    "redrive._REDRIVE": Reads(
        {**THESE, "reason": None},
        {
            "automation_execution_logs_pkey",
            MESSAGES_OF,
            "automation_step_logs_pkey",
            "automation_actions_pkey",
        },
    ),
    "cancellation._FIND_OPEN": Reads(
        {**ITS_OWN, "automation_id": AUTOMATION, "subject_id": None}, OPEN, Role.APP
    ),
    "cancellation._STANDING": Reads(THESE, {"automation_execution_logs_pkey"}),
    "cancellation._CANCEL_PENDING": Reads(
        {**THESE, "reason": "x"},
        {"automation_execution_logs_pkey|automation_execution_logs_pending_idx", MESSAGES_OF},
    ),
    "cancellation._NOTE": Reads({**THESE, "reason": "x"}, {"automation_execution_logs_pkey"}),
}

# By record: the id of one, and the index that finds it.
RECORDS: Final = {
    SubjectType.JOB: (JOB, "jobs_pkey"),
    SubjectType.CLIENT: (str(ROW), "clients_organization_id_id_key|clients_pkey"),
    SubjectType.ESTIMATE: (str(ROW), "estimates_organization_id_id_key|estimates_pkey"),
    SubjectType.INVOICE: (str(ROW), "invoices_organization_id_id_key|invoices_pkey"),
    SubjectType.TASK: (str(ROW), "tasks_organization_id_id_key|tasks_pkey"),
}


@pytest.fixture(scope="module")
async def grown(postgres: EmbeddedPostgres) -> AsyncIterator[psycopg.AsyncConnection]:
    async with grown_database(postgres) as connection:
        yield connection


@pytest.mark.parametrize("name", list(ACTIONS))
async def test_a_statement(grown: psycopg.AsyncConnection, name: str) -> None:
    await check_plan(grown, statement_called(name), ACTIONS[name])


@pytest.mark.parametrize("name", list(ACTIONS))
async def test_a_statement_whatever_its_parameters(
    grown: psycopg.AsyncConnection, name: str
) -> None:
    await check_plan_for_any_parameters(grown, statement_called(name), ACTIONS[name])


@pytest.mark.parametrize("record", list(RECORDS))
async def test_records_are_read_and_written_by_their_key(
    postgres: EmbeddedPostgres, grown: psycopg.AsyncConnection, record: SubjectType
) -> None:
    id_, index = RECORDS[record]
    field = "tags" if record is SubjectType.CLIENT else "status"
    value = ["vip"] if record is SubjectType.CLIENT else "seen"

    async def read(connection: AsyncConnection) -> None:
        await read_record(connection, COMPANY, record, id_, [field])

    async def write(connection: AsyncConnection) -> None:
        await write_record(connection, COMPANY, record, id_, {field: value})

    for act in (read, write):
        statement, parameters = await asked_by(postgres, act)
        async with acting_as(grown, Role.ENGINE):
            check(await explain(grown, statement, parameters), Reads({}, {index}))


async def asked_by(
    postgres: EmbeddedPostgres, act: Callable[[AsyncConnection], Awaitable[object]]
) -> tuple[str, Any]:
    """Return the statement that *act* sends, with its parameters, sending nothing."""
    asked: list[tuple[str, Any]] = []
    database = Database(postgres.dsn(DATABASE), Role.ENGINE, pool_size=1)

    class EnoughError(Exception):
        """What was wanted is known."""

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        asked.append((statement, parameters))
        raise EnoughError

    try:
        async with database.transaction() as connection:
            event.listen(connection.sync_connection, "before_cursor_execute", note)
            with pytest.raises(EnoughError):
                await act(connection)
    finally:
        await database.close()
    return asked[0]
