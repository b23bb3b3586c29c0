"""The API does what its own description says, whatever is sent to it.

Schemathesis makes requests of the description, well-formed and not, and holds every answer
against it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from devstack.web import LoopbackServer
from fixlify.domain.api_keys import key_hash, new_key
from fixlify.storage.api_keys import create_api_key
from fixlify.storage.database import Database
from starter.http.app import build_app
from starter.http.bounces import REPORT_PATH, bounce_router
from starter.http.twilio import TwilioCaller, twilio_router
from tests.office import Office

# More than they ask; the limit has tests of its own.
RATE = "999999/second"
EXAMPLES = "100"


CALLER = TwilioCaller("AC" + "5" * 32, SecretStr("a token"), "https://automations.example.com")


@pytest.fixture
def app(engine_database: Database, key: str) -> FastAPI:
    routers = [
        twilio_router(engine_database, CALLER, RATE),
        # Schemathesis shows one secret to everybody.
        bounce_router(engine_database, SecretStr(key), RATE),
    ]
    return build_app(engine_database, RATE, routers=routers)


@pytest.fixture
async def url(app: FastAPI) -> AsyncIterator[str]:
    server = LoopbackServer(app)
    port = await server.start()
    yield f"http://127.0.0.1:{port}"
    await server.stop()


@pytest.fixture
async def key(office: Office, app_database: Database) -> str:
    key = new_key()
    async with app_database.organization(office.organization_id) as connection:
        await create_api_key(
            connection, office.organization_id, "schemathesis", key.prefix, key_hash(key.text)
        )
    return key.text


async def schemathesis(description: Path, url: str, key: str, *options: str) -> None:
    """Run every check; fail with what it says if any did."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", str(description), "--url", url),
        *("--header", f"Authorization: Bearer {key}", "--checks", "all"),
        # It can write no mail; test_bounces sends some of every kind.
        *("--exclude-path", REPORT_PATH),
        *("--generation-deterministic", "--warnings", "off", "--no-color"),
        *options,
        cwd=description.parent,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


async def test_every_answer_is_one_that_the_description_names(
    app: FastAPI, url: str, key: str, tmp_path: Path
) -> None:
    description = tmp_path / "openapi.json"
    description.write_text(json.dumps(app.openapi()))
    (tmp_path / "schemathesis.toml").write_text(
        # A subject that nobody has or a date of long ago; one event too many; no signature.
        "[checks]\n"
        'positive_data_acceptance.expected-statuses = ["2xx", "403", "422"]\n'
        'negative_data_rejection.expected-statuses = ["400", "403", "405", "413", "415", "422"]\n'
    )
    await schemathesis(description, url, key, "--max-examples", EXAMPLES)


async def test_every_event_that_follows_the_description_is_recorded(
    app: FastAPI, url: str, key: str, tmp_path: Path, office: Office
) -> None:
    described: dict[str, Any] = json.loads(json.dumps(app.openapi()))
    # What a description cannot say: which subjects exist, what is stale today, and which keys
    # were used before.
    for name in ("subject", "occurred_at"):
        del described["components"]["schemas"]["CustomEvent"]["properties"][name]
    operation = described["paths"]["/api/v1/events"]["post"]
    del operation["parameters"]
    del operation["requestBody"]["content"]["application/json"]["examples"]
    description = tmp_path / "openapi.json"
    description.write_text(json.dumps(described))
    await schemathesis(description, url, key, "--mode", "positive", "--max-examples", EXAMPLES)
    assert await office.events()
