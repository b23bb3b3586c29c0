"""An organization's rules are kept for it alone, and make sense or hold everything."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from psycopg.types.json import Jsonb
from sqlalchemy.exc import DBAPIError

from fixlify.domain.errors import RulesUnreadableError
from fixlify.domain.rules import Rules, TimeSpan
from fixlify.storage.database import Database
from fixlify.storage.rules import clear_rules, load_rules, store_rules
from tests.office import Office

EVERYTHING = Rules.model_validate(
    {
        "quiet_hours": "21:00-08:00",
        "business_hours": {"mon-fri": "08:00-18:00", "sat": "00:00-24:00"},
        "holidays": {"country": "US", "dates": ["2026-12-24"]},
        "caps": [{"at_most": 2, "per": "24h", "channel": "sms", "message_class": "marketing"}],
    }
)


async def load(database: Database, office: Office) -> Rules:
    async with database.transaction() as connection:
        return await load_rules(connection, office.organization_id)


async def test_without_rules_everything_is_allowed(
    office: Office, engine_database: Database
) -> None:
    assert await load(engine_database, office) == Rules()


async def test_what_people_store_is_what_the_engine_reads(
    office: Office, app_database: Database, engine_database: Database
) -> None:
    async with app_database.organization(office.organization_id) as connection:
        await store_rules(connection, office.organization_id, Rules())
        await store_rules(connection, office.organization_id, EVERYTHING)
    assert await load(engine_database, office) == EVERYTHING


async def test_cleared_rules_are_none(
    office: Office, app_database: Database, engine_database: Database
) -> None:
    async with app_database.organization(office.organization_id) as connection:
        await store_rules(connection, office.organization_id, EVERYTHING)
        assert await clear_rules(connection, office.organization_id)
        assert not await clear_rules(connection, office.organization_id)
    assert await load(engine_database, office) == Rules()


async def test_one_company_neither_sees_nor_writes_the_rules_of_another(
    office: Office, app_database: Database, engine_database: Database
) -> None:
    async with app_database.organization(office.organization_id) as connection:
        await store_rules(connection, office.organization_id, EVERYTHING)
    async with app_database.organization(uuid4()) as connection:
        assert await load_rules(connection, office.organization_id) == Rules()
        assert not await clear_rules(connection, office.organization_id)
        with pytest.raises(DBAPIError):
            await store_rules(connection, office.organization_id, Rules())
    assert await load(engine_database, office) == EVERYTHING


@pytest.mark.parametrize(
    ("by_hand", "told"),
    [
        (None, "must be a mapping"),
        ([], "must be a mapping"),
        ({"quiet_hours": "ten to six"}, "quiet_hours: 'ten to six' is no span of time"),
        ({"quiet_hours": {"from": "21:00"}}, "quiet_hours.to: is missing"),
        ({"quiet-hours": "21:00-08:00"}, "did you mean 'quiet_hours'?"),
        ({"business_hours": {"moonday": "08:00-18:00"}}, "'moonday' is no day of the week"),
        ({"holidays": {"country": "ZZ"}}, "holidays.country: no country 'ZZ'"),
        ({"caps": [{"per": "1d"}]}, "caps[0].at_most: is missing"),
    ],
)
async def test_rules_that_make_no_sense_are_no_rules_that_allow(
    office: Office, engine_database: Database, by_hand: Any, told: str
) -> None:
    """On an error the check once said `allow`."""
    await office.insert(
        "automation_rules", organization_id=office.organization_id, rules=Jsonb(by_hand)
    )
    with pytest.raises(RulesUnreadableError) as unreadable:
        await load(engine_database, office)
    assert told in str(unreadable.value)
    assert "`fixlify rules apply FILE`" in str(unreadable.value)


async def test_rules_that_make_no_sense_are_replaced(
    office: Office, app_database: Database, engine_database: Database
) -> None:
    await office.insert(
        "automation_rules", organization_id=office.organization_id, rules=Jsonb("none")
    )
    quiet = Rules(quiet_hours=TimeSpan.model_validate("21:00-08:00"))
    async with app_database.organization(office.organization_id) as connection:
        await store_rules(connection, office.organization_id, quiet)
    assert await load(engine_database, office) == quiet
