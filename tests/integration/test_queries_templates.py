"""Every statement behind a company's templates finds its rows by an index."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import psycopg
import pytest

from devstack.postgres import EmbeddedPostgres
from fixlify.storage.database import Role
from tests.explaining import Reads, check_plan, check_plan_for_any_parameters, statement_called
from tests.grown import COMPANY, grown_database

OURS: Final = {"organization_id": COMPANY}

TEMPLATES: Final[dict[str, Reads]] = {
    "templates._NEWEST": Reads(OURS, {"message_templates_pkey"}, Role.APP),
    "templates._LOCALE": Reads(OURS, set(), Role.APP),
    "organizations._APPEARANCE": Reads(OURS, set(), Role.APP),
}


@pytest.fixture(scope="module")
async def grown(postgres: EmbeddedPostgres) -> AsyncIterator[psycopg.AsyncConnection]:
    async with grown_database(postgres) as connection:
        yield connection


@pytest.mark.parametrize("name", list(TEMPLATES))
async def test_the_statements(grown: psycopg.AsyncConnection, name: str) -> None:
    await check_plan(grown, statement_called(name), TEMPLATES[name])


@pytest.mark.parametrize("name", list(TEMPLATES))
async def test_the_statements_whatever_their_parameters(
    grown: psycopg.AsyncConnection, name: str
) -> None:
    await check_plan_for_any_parameters(grown, statement_called(name), TEMPLATES[name])
