"""The doctor tells whose clients may be woken at night, and whose rules nobody can read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from cli.checks.rules import check_rules
from tests.office import Office

THANKS = """
name: Thanks
trigger: {type: job_completed}
steps:
  - {type: send_sms, text: Thank you}
"""


@pytest.fixture
async def connection(office: Office) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """What the doctor looks through: the engine's eyes."""
    async with await psycopg.AsyncConnection.connect(office.url, autocommit=True) as connection:
        await connection.execute("SET ROLE fixlify_engine")
        yield connection


async def write(office: Office, rules: Any) -> None:
    await office.insert(
        "automation_rules", organization_id=office.organization_id, rules=Jsonb(rules)
    )


async def test_a_company_that_writes_to_nobody_needs_no_rules(
    office: Office, connection: psycopg.AsyncConnection[Any]
) -> None:
    await office.apply(THANKS + "status: draft")
    assert (await check_rules(connection)).status == "ok"


@pytest.mark.parametrize("rules", [None, {}, {"caps": [{"at_most": 2, "per": "1d"}]}])
async def test_active_automations_without_quiet_hours_are_told(
    office: Office, connection: psycopg.AsyncConnection[Any], rules: Any
) -> None:
    await office.apply(THANKS)
    if rules is not None:
        await write(office, rules)
    finding = await check_rules(connection)
    assert finding.status == "warning"
    assert finding.detail.startswith("no quiet hours: Northwind Heating; ")
    assert "`fixlify rules apply FILE`" in str(finding.remedy)


async def test_quiet_hours_are_all_it_asks_for(
    office: Office, connection: psycopg.AsyncConnection[Any]
) -> None:
    await office.apply(THANKS)
    await write(office, {"quiet_hours": "21:00-08:00"})
    assert (await check_rules(connection)).status == "ok"


async def test_rules_that_cannot_be_read_are_a_failure(
    office: Office, connection: psycopg.AsyncConnection[Any]
) -> None:
    """They hold every message, so nobody is told anything any more."""
    await office.apply(THANKS)
    await write(office, {"quiet_hours": "ten to six"})
    finding = await check_rules(connection)
    assert finding.status == "failed"
    assert finding.detail.startswith("cannot be read: those of Northwind Heating; ")
