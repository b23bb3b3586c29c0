"""What a check finds, and collecting it from checks that may hang or break."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from cli.database import database_words
from cli.output import elapsed


class Health(StrEnum):
    """How bad a finding is; only ``failed`` makes the doctor fail."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. ``remedy`` says what to do, unless it is ok."""

    check: str
    status: Health
    detail: str
    remedy: str | None = None


def ok(check: str, detail: str) -> Finding:
    """Return a finding that needs nothing."""
    return Finding(check, Health.OK, detail)


def warning(check: str, detail: str, remedy: str) -> Finding:
    """Return a finding that somebody should look at."""
    return Finding(check, Health.WARNING, detail, remedy)


def failed(check: str, detail: str, remedy: str) -> Finding:
    """Return a finding that keeps automations from working."""
    return Finding(check, Health.FAILED, detail, remedy)


async def collect(
    section: str, findings: AsyncIterator[Finding], deadline: timedelta
) -> list[Finding]:
    """Return what *findings* yields; a check that hangs, breaks or says nothing has failed."""
    found: list[Finding] = []
    try:
        async with asyncio.timeout(deadline.total_seconds()):
            async for finding in findings:
                # One by one: what was found before a deadline must not be lost.
                found.append(finding)  # noqa: PERF401
    except TimeoutError:
        detail = f"no answer within {elapsed(deadline)}"
        return [*found, failed(section, detail, "See whether it is overloaded or cut off.")]
    except Exception as error:  # whatever it is, it is not health
        detail = f"the check itself broke: {type(error).__name__}: {database_words(error)}"
        return [*found, failed(section, detail, "Report this, please; it is a defect.")]
    return found or [failed(section, "nothing was checked", "Report this, please.")]
