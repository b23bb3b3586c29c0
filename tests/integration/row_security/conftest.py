"""One database for every attack, with its two companies."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from devstack.postgres import EmbeddedPostgres
from fixlify.storage.database import Database, Role
from tests.clones import new_database
from tests.conftest import TEMPLATE
from tests.integration.row_security.companies import Attacker, Company, furnish, share, snapshot
from tests.office import Office


@pytest.fixture(scope="module")
async def url(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """One database for every attack: none of them is to leave a trace."""
    async with new_database(postgres, TEMPLATE) as clone:
        yield clone


@pytest.fixture(scope="module")
async def app(url: str) -> AsyncIterator[Database]:
    """The pool people and the API use."""
    database = Database(url, Role.APP)
    yield database
    await database.close()


@pytest.fixture(scope="module")
async def engine(url: str) -> AsyncIterator[Database]:
    """The pool relay and workers use."""
    database = Database(url, Role.ENGINE)
    yield database
    await database.close()


@pytest.fixture(scope="module")
async def ours(url: str) -> AsyncIterator[Company]:
    """The company that attacks."""
    async with await Office.open(url) as office:
        await share(office)
        yield await furnish(office)


@pytest.fixture(scope="module")
async def theirs(url: str) -> AsyncIterator[Company]:
    """The company that is attacked; after all attacks every row of it is as it was."""
    async with await Office.open(url, "Harbor Plumbing") as office:
        company = await furnish(office)
        before = await snapshot(company)
        yield company
        assert await snapshot(company) == before


@pytest.fixture(scope="module")
async def attacker(app: Database, ours: Company, theirs: Company) -> Attacker:
    """Our company, with bad intentions."""
    return Attacker(app, ours, theirs)
