"""What ``fixlify demo`` and ``fixlify dev`` put on the screen, at the width of a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import util
from typing import Any
from uuid import UUID

import pytest
from rich.console import Console

import cli.demo
import cli.dev
from cli.demo_run import DemoExecution, DemoResult, Latency
from cli.sample import SampleJob
from devstack.captured_email import CapturedEmail
from devstack.twilio_api import CapturedSms
from tests.command_line import CommandLine

PSQL = "PGPASSFILE=/somewhere/rather/deep/pgpass psql -h 127.0.0.1 -p 5433 -U postgres fixlify"
WHEN = datetime(2026, 3, 14, tzinfo=UTC)


@pytest.fixture(params=[80, 120])
def screen(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Console:
    """A terminal of 80 columns, or of 120."""
    console = Console(width=request.param, highlight=False, record=True)
    monkeypatch.setattr(cli.demo, "console", console)
    monkeypatch.setattr(cli.dev, "console", console)
    return console


def demo_of(recipients: Sequence[str]) -> DemoResult:
    """Two completed runs, whose emails went to *recipients*."""
    executions = [
        DemoExecution(UUID(int=n), "Thanks", "completed", f"automation/{UUID(int=n)}")
        for n in range(2)
    ]
    return DemoResult(
        first_job=SampleJob("J-2019", recipients[0], "+12125551000"),
        steps=[{"milliseconds": 0.0, "what": "the row trigger recorded the change"}],
        executions=executions,
        emails=[_email(recipient) for recipient in recipients],
        sms=[_sms(f"+1212555100{n}") for n in range(2)],
        latency=Latency(cold=137.4, warm_p50=93.2, warm_p99=1148.0),
        temporal_actions_per_run=5,
    )


def test_no_line_of_the_demo_is_wider_than_the_screen_or_broken_by_it(screen: Console) -> None:
    cli.demo._show(demo_of(["maya@example.com", "jonas@example.com"]))
    lines = [line.rstrip() for line in screen.export_text().splitlines()]
    assert max(map(len, lines)) <= min(screen.width, 88)
    summary = lines[next(n for n, line in enumerate(lines) if line.startswith("Run ")) :]
    # What does not fit goes on under its own column.
    assert all(line.startswith((" " * 9, "Run", "All", "Latency", "Cost", "Next")) or not line
               for line in summary)  # fmt: skip


def test_the_demo_says_each_once_when_nobody_got_two(screen: Console) -> None:
    cli.demo._show(demo_of(["maya@example.com", "jonas@example.com"]))
    assert "2 emails and 2 texts delivered, each once" in screen.export_text()


@pytest.mark.parametrize(
    "recipients",
    [
        pytest.param(["maya@example.com", "maya@example.com"], id="one twice"),
        pytest.param(["maya@example.com"], id="one not at all"),
    ],
)
def test_the_demo_does_not_say_each_once_when_it_is_not_so(
    screen: Console, recipients: list[str]
) -> None:
    cli.demo._show(demo_of(recipients))
    assert "each once" not in screen.export_text()


def test_what_dev_prints_to_be_copied_has_no_line_breaks_in_it(screen: Console) -> None:
    cli.dev._show(
        {"Web UI": "http://127.0.0.1:8233", "Database": PSQL},
        sampled=True,
    )
    said = screen.export_text()
    assert PSQL in said
    assert "  UPDATE jobs SET status = 'completed' WHERE id = 'J-2019';\n" in said


@pytest.mark.parametrize("command", ["demo", "dev"])
def test_without_the_embedded_stack_a_command_says_what_to_install(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = util.find_spec

    def find_all_but_one(name: str, package: str | None = None) -> Any:
        return None if name == "aiosmtpd" else find_spec(name, package)

    monkeypatch.setattr("cli.environment.find_spec", find_all_but_one)
    said = CommandLine().fixlify(command)
    assert said.code == 1
    assert "aiosmtpd missing" in said.err
    assert "fixlify-automations[devstack]" in said.err


def _email(recipient: str) -> CapturedEmail:
    raw = b"From: Northwind <automations@localhost>\r\nSubject: Thank you\r\n\r\n" + b"Hi. " * 40
    return CapturedEmail(
        recipients=(recipient,), sender="automations@localhost", raw=raw, received_at=WHEN,
        accepted_at=0.0,
    )  # fmt: skip


def _sms(to: str) -> CapturedSms:
    return CapturedSms(
        sid="SM0", to=to, from_="+15005550006", body="Thank you!", segments=1,
        received_at=WHEN, accepted_at=0.0,
    )  # fmt: skip
