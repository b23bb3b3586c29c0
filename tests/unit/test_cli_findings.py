"""A check that hangs, breaks or says nothing has failed; it is never healthy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

from cli.checks.findings import Finding, Health, collect, ok

AT_ONCE = timedelta(milliseconds=1)
SOON = timedelta(seconds=60)


async def _fine() -> AsyncIterator[Finding]:
    yield ok("thing.first", "fine")


async def test_what_is_found_is_kept() -> None:
    assert await collect("thing", _fine(), SOON) == [Finding("thing.first", Health.OK, "fine")]


async def test_a_check_that_hangs_has_failed_and_keeps_what_it_found() -> None:
    async def hanging() -> AsyncIterator[Finding]:
        yield ok("thing.first", "fine")
        await asyncio.Event().wait()
        yield ok("thing.second", "fine")

    first, last = await collect("thing", hanging(), AT_ONCE)
    assert first.status is Health.OK
    assert (last.check, last.status) == ("thing", Health.FAILED)
    assert "no answer within 1 ms" in last.detail


async def test_a_check_that_breaks_has_failed_and_keeps_what_it_found() -> None:
    async def breaking() -> AsyncIterator[Finding]:
        yield ok("thing.first", "fine")
        raise LookupError("no such thing\nsecond line")

    first, last = await collect("thing", breaking(), SOON)
    assert first.status is Health.OK
    assert last.status is Health.FAILED
    assert last.detail == "the check itself broke: LookupError: no such thing"


async def test_a_check_that_says_nothing_has_failed() -> None:
    async def silent() -> AsyncIterator[Finding]:
        return
        yield ok("thing", "unreachable")

    (finding,) = await collect("thing", silent(), SOON)
    assert finding.status is Health.FAILED


async def test_whatever_failed_has_a_remedy() -> None:
    async def breaking() -> AsyncIterator[Finding]:
        raise RuntimeError
        yield ok("thing", "unreachable")

    (finding,) = await collect("thing", breaking(), SOON)
    assert finding.remedy
