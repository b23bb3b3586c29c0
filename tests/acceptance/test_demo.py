"""What a stranger sees first: ``fixlify demo``."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import pytest

from tests.processes import environment_without_ours

CHANGES = 51


@pytest.fixture(scope="module")
async def demo() -> dict[str, Any]:
    """What one run prints, with somebody's real providers configured in its environment."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cli",
        "demo",
        "--json",
        env={
            **environment_without_ours(),
            "FIXLIFY_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/production",
            "FIXLIFY_SMTP_URL": "smtp://127.0.0.1:1",
            "TEMPORAL_ADDRESS": "127.0.0.1:1",
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    document: dict[str, Any] = json.loads(output)
    return document


def test_every_change_became_one_completed_execution(demo: dict[str, Any]) -> None:
    executions = demo["executions"]
    assert len({execution["id"] for execution in executions}) == CHANGES
    assert {execution["status"] for execution in executions} == {"completed"}
    for execution in executions:
        assert execution["workflow_id"] == f"automation/{execution['id']}"
        assert execution["automation"]


def test_every_client_got_one_email_and_one_text(demo: dict[str, Any]) -> None:
    emails, texts = demo["emails"], demo["sms"]
    assert len(emails) == len({email["recipient"] for email in emails}) == CHANGES
    assert len(texts) == len({text["recipient"] for text in texts}) == CHANGES
    first = next(email for email in emails if email["recipient"] == "maya.okafor.0@example.com")
    assert "Northwind Heating & Air" in first["sender"]
    assert "Boiler repair" in first["subject"]
    assert "Maya" in first["body"]
    for message in [*emails, *texts]:
        assert "{" not in message["body"]


def test_it_measures_latency_and_cost(demo: dict[str, Any]) -> None:
    """The figures themselves depend on the machine; that they are measured does not."""
    latency = demo["latency_ms"]
    assert set(latency) == {"cold", "warm_p50", "warm_p99"}
    assert 0 < latency["warm_p50"] <= latency["warm_p99"]
    assert demo["temporal_actions_per_run"] <= 5
