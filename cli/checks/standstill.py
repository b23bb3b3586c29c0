"""Look at what stands still: stops, paused channels, messages nobody lets go, failing schedules."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import psycopg

from cli.checks.findings import Finding, ok, warning
from cli.output import counted, elapsed
from fixlify.domain.timetable import zone_problem

# A stop of all comes first, and has no name.
_STOPS: Final = """
    SELECT o.name, s.reason, clock_timestamp() - s.stopped_at
    FROM automation_stops s LEFT JOIN organizations o ON o.id = s.organization_id
    ORDER BY s.organization_id NULLS FIRST
"""
_CHANNELS: Final = """
    SELECT channel, paused_reason, clock_timestamp() - paused_at
    FROM channel_settings WHERE paused_at IS NOT NULL ORDER BY channel
"""
# What the rules hold says until when, and what a paused automation does waits for somebody; so
# does what is to go by a paused channel.
_FORGOTTEN: Final = """
    SELECT count(*) FROM messages m
    WHERE m.status = 'held'
      AND (m.held_until IS NULL OR m.held_until < clock_timestamp() - interval '1 hour')
      AND NOT EXISTS (
          SELECT FROM automation_stops s
          WHERE s.organization_id IS NULL OR s.organization_id = m.organization_id
      )
      AND NOT EXISTS (
          SELECT FROM automation_execution_logs e
          JOIN automation_workflows a ON a.id = e.automation_id
          WHERE e.id = m.execution_id AND a.status = 'paused'
      )
      AND NOT EXISTS (
          SELECT FROM channel_settings c
          WHERE c.channel = m.channel AND c.paused_at IS NOT NULL
      )
"""
_FAILING: Final = """
    SELECT c.schedule_id, s.problem
    FROM automation_cron_status c JOIN automation_schedules s ON s.id = c.schedule_id
    WHERE s.problem IS NOT NULL OR c.last_result = 'failed'
    ORDER BY c.schedule_id
"""
_ZONES: Final = (
    "SELECT time_zone, count(*) FROM organizations GROUP BY time_zone ORDER BY time_zone"
)
_LISTED: Final = 3


async def check_standstill(connection: psycopg.AsyncConnection[Any]) -> AsyncIterator[Finding]:
    """Look at every organization, with a connection that acts as the engine."""
    yield _stops(await _rows(connection, _STOPS))
    yield _channels(await _rows(connection, _CHANNELS))
    ((held,),) = await _rows(connection, _FORGOTTEN)
    if held:
        yield warning(
            "database.held",
            f"{counted(held, 'message')} held though nothing is stopped; their runs look again "
            "within the hour",
            "`fixlify resume` wakes them at once; if they stay, start a worker.",
        )
    else:
        yield ok("database.held", "no message is held without a stop")
    zones = await _rows(connection, _ZONES)
    yield _schedules(await _rows(connection, _FAILING), list(_unswept(zones)))


def _stops(stops: list[tuple[Any, ...]]) -> Finding:
    check = "database.stops"
    if not stops:
        return ok(check, "no automations are stopped")
    told = [
        f"{name or 'every organization'} for {elapsed(age)}" + (f" ({reason})" if reason else "")
        for name, reason, age in stops
    ]
    # A stop of all and an organization's own are lifted each by itself.
    of_all = sum(name is None for name, *_ in stops)
    ways = ["`fixlify resume --all`"] * of_all + ["`fixlify resume`"] * (len(stops) > of_all)
    lifts = "lets" if len(ways) == 1 else "let"
    return warning(
        check,
        f"stopped: {_first(told)}",
        f"{' and '.join(ways)} {lifts} them go on, when that is wanted.",
    )


def _channels(paused: list[tuple[Any, ...]]) -> Finding:
    check = "database.channels"
    if not paused:
        return ok(check, "no channel is paused")
    told = [
        f"{channel} for {elapsed(age)}" + (f" ({reason})" if reason else "")
        for channel, reason, age in paused
    ]
    ways = " and ".join(f"`fixlify channels resume {channel}`" for channel, *_ in paused)
    return warning(
        check,
        f"paused for every organization: {', '.join(told)}",
        f"{ways} {'lets it' if len(paused) == 1 else 'let them'} go on, when that is wanted.",
    )


def _schedules(failing: list[tuple[Any, ...]], unswept: list[str]) -> Finding:
    check = "database.schedules"
    if unswept:
        return warning(
            check,
            f"nothing falls due for {_first(unswept)}",
            "Correct organizations.time_zone; `fixlify schedules sync` makes what is missing.",
        )
    if not failing:
        return ok(check, "no schedule failed at its last run")
    told = [f"{name}: {problem or 'its last run failed'}" for name, problem in failing]
    return warning(check, _first(told), "`fixlify schedules show NAME` tells what happened.")


def _unswept(zones: list[tuple[Any, ...]]) -> Iterator[str]:
    """Tell of organizations that no schedule of a zone can serve."""
    for name, organizations in zones:
        if (problem := zone_problem(name)) is not None:
            yield f"{counted(organizations, 'organization')}: {problem}"


def _first(told: list[str]) -> str:
    more = f", and {len(told) - _LISTED} more" if len(told) > _LISTED else ""
    return ", ".join(told[:_LISTED]) + more


async def _rows(connection: psycopg.AsyncConnection[Any], query: str) -> list[tuple[Any, ...]]:
    return await (await connection.execute(query.encode())).fetchall()
