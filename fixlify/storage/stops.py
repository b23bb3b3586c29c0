"""The emergency stop: write it, say what it holds, lift it, and let go on what is still wanted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.endings import STOPPED
from fixlify.domain.errors import StaleWorkError
from fixlify.domain.ids import workflow_id
from fixlify.domain.runs import MessageStatus, SendReceipt

STALE_AFTER: Final = timedelta(hours=24)
"""How old held work may be for a resume to send it without being told to."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A stop that stands; ``organization_id`` is None for a stop of all."""

    organization_id: UUID | None
    reason: str | None
    stopped_at: datetime


@dataclass(frozen=True, slots=True)
class OpenWork:
    """What is not done yet, counted.

    ``events`` were not matched yet, ``pending`` executions have no run, ``open`` ones have.
    Messages ``sending`` are in a provider's hands: nobody can call them back. Of ``unknown``
    ones nobody knows whether they arrived.
    """

    events: int
    pending: int
    open: int
    queued: int
    held: int
    sending: int
    unknown: int


@dataclass(frozen=True, slots=True)
class Resumption:
    """What a resume did.

    ``lifted`` is the stop that stood, or None. ``standing`` are the stops that still hold some
    of what was asked for. ``executions`` and ``messages`` go on; ``runs`` are the ids of the
    workflows that hold a message and are to be woken.
    """

    lifted: Stop | None
    standing: tuple[Stop, ...]
    executions: int
    messages: int
    cancelled_executions: int
    cancelled_messages: int
    runs: tuple[str, ...]


_STOP = text("""
    INSERT INTO automation_stops (organization_id, reason) VALUES (:organization_id, :reason)
    ON CONFLICT (organization_id) DO NOTHING
    RETURNING organization_id, reason, stopped_at
""")

_STANDING = text("""
    SELECT organization_id, reason, stopped_at
    FROM automation_stops
    WHERE organization_id IS NULL
       OR CAST(:organization_id AS uuid) IS NULL
       OR organization_id = CAST(:organization_id AS uuid)
    ORDER BY organization_id NULLS FIRST
""")

_LIFT = text("""
    DELETE FROM automation_stops
    WHERE organization_id IS NOT DISTINCT FROM CAST(:organization_id AS uuid)
    RETURNING organization_id, reason, stopped_at
""")

_OF_ITS_OWN = """
    (CAST(:organization_id AS uuid) IS NULL
     OR x.organization_id = CAST(:organization_id AS uuid))
"""

# The two kinds of events have an index each, which one condition for both would not use.
_OPEN_WORK = text(f"""
    SELECT (SELECT count(*) FROM automation_events x
            WHERE x.processed_at IS NULL AND x.automation_id IS NULL AND {_OF_ITS_OWN})
         + (SELECT count(*) FROM automation_events x
            WHERE x.processed_at IS NULL AND x.automation_id IS NOT NULL AND {_OF_ITS_OWN})
           AS events,
           (SELECT count(*) FROM automation_execution_logs x
            WHERE x.status = 'pending' AND {_OF_ITS_OWN}) AS pending,
           (SELECT count(*) FROM automation_execution_logs x
            WHERE x.status IN ('running', 'waiting') AND {_OF_ITS_OWN}) AS open,
           messages.*
    FROM (
        SELECT count(*) FILTER (WHERE x.status = 'queued') AS queued,
               count(*) FILTER (WHERE x.status = 'held') AS held,
               count(*) FILTER (WHERE x.status = 'sending') AS sending,
               count(*) FILTER (WHERE x.status = 'unknown') AS unknown
        FROM messages x
        WHERE x.status IN ('queued', 'held', 'sending', 'unknown') AND {_OF_ITS_OWN}
    ) messages
""")  # noqa: S608 - a constant of this module

# After the stop is lifted, in the same transaction: another one may still stand.
_FREED = f"""
    {_OF_ITS_OWN} AND NOT EXISTS (
        SELECT FROM automation_stops s
        WHERE s.organization_id IS NULL OR s.organization_id = x.organization_id
    )
"""

# A run that holds a message, or a step that acts, is woken. It runs again from here on, and says
# so at once: what it waits for now is the provider.
_WAKE = text(f"""
    WITH held AS (
        SELECT x.execution_id FROM messages x WHERE x.status = 'held' AND {_FREED}
        UNION
        SELECT x.id FROM automation_execution_logs x
        WHERE x.status = 'waiting' AND position('{STOPPED}' IN x.waiting_for) > 0 AND {_FREED}
    )
    UPDATE automation_execution_logs e SET status = 'running', waiting_for = NULL
    FROM held
    WHERE e.id = held.execution_id AND e.status IN ('running', 'waiting')
    RETURNING e.id, e.redrives
""")  # noqa: S608 - a constant of this module

_FREED_WORK = text(f"""
    SELECT executions.*, messages.*
    FROM (
        SELECT count(*) AS executions,
               count(*) FILTER (
                   WHERE x.created_at < clock_timestamp() - CAST(:older_than AS interval)
               ) AS stale_executions
        FROM automation_execution_logs x
        WHERE x.status = 'pending' AND {_FREED}
    ) executions, (
        SELECT count(*) AS messages,
               count(*) FILTER (
                   WHERE x.created_at < clock_timestamp() - CAST(:older_than AS interval)
               ) AS stale_messages
        FROM messages x
        WHERE x.status IN ('queued', 'held') AND {_FREED}
    ) messages
""")  # noqa: S608 - a constant of this module

HELD_SINCE: Final = """
    'held since '
    || to_char(greatest(x.created_at, CAST(:stopped_at AS timestamptz)) AT TIME ZONE 'UTC',
               'YYYY-MM-DD HH24:MI')
    || ' UTC, cancelled on resume'
"""
"""The SQL of why held work ``x`` is cancelled by a resume; ``:stopped_at`` may be null."""

_CANCEL_EXECUTIONS = text(f"""
    UPDATE automation_execution_logs x
    SET status = 'cancelled', reason = {HELD_SINCE}, completed_at = clock_timestamp()
    WHERE x.status = 'pending' AND {_FREED}
      AND x.created_at < clock_timestamp() - CAST(:older_than AS interval)
""")  # noqa: S608 - a constant of this module

_CANCEL_MESSAGES = text(f"""
    UPDATE messages x
    SET status = 'cancelled', reason = {HELD_SINCE}
    WHERE x.status IN ('queued', 'held') AND {_FREED}
      AND x.created_at < clock_timestamp() - CAST(:older_than AS interval)
""")  # noqa: S608 - a constant of this module

_WITHDRAW = text("""
    WITH withdrawn AS (
        UPDATE messages SET status = 'cancelled', reason = :reason
        WHERE id = :id AND organization_id = :organization_id AND status IN ('queued', 'held')
        RETURNING status, reason
    )
    SELECT status, reason FROM withdrawn
    UNION ALL
    SELECT status, reason FROM messages
    WHERE id = :id AND organization_id = :organization_id AND NOT EXISTS (SELECT FROM withdrawn)
""")


async def stop_automations(
    connection: AsyncConnection, organization_id: UUID | None, reason: str | None
) -> Stop | None:
    """Write the stop of one organization, or of all with None.

    From its commit on no message is handed to a provider and no pending execution launched.
    The app role may stop its own organization only.

    Returns:
        The stop; None when one stood already, which keeps its time and reason.
    """
    result = await connection.execute(_STOP, {"organization_id": organization_id, "reason": reason})
    row = result.mappings().one_or_none()
    return Stop(**row) if row else None


async def standing_stops(
    connection: AsyncConnection, organization_id: UUID | None
) -> tuple[Stop, ...]:
    """Return the stops that concern one organization, or with None every one; that of all first."""
    result = await connection.execute(_STANDING, {"organization_id": organization_id})
    return tuple(Stop(**row) for row in result.mappings())


async def count_open_work(connection: AsyncConnection, organization_id: UUID | None) -> OpenWork:
    """Return what is not done yet, of one organization or with None of all."""
    result = await connection.execute(_OPEN_WORK, {"organization_id": organization_id})
    return OpenWork(**result.mappings().one())


async def resume_automations(
    connection: AsyncConnection,
    organization_id: UUID | None,
    *,
    cancel_older_than: timedelta | None = None,
    send_everything: bool = False,
) -> Resumption:
    """Lift the stop of one organization, or that of all, and decide about what it held.

    In the transaction of *connection*, which acts as the engine: what is cancelled was never
    free. Without a stop it does the same to what an interrupted resume left behind.

    Args:
        connection: In a transaction; nothing happened if it is rolled back.
        organization_id: Whose stop; None lifts the stop of all, and no organization's own.
        cancel_older_than: Cancel held work that was created longer ago than this.
        send_everything: Let work older than ``STALE_AFTER`` go on too.

    Raises:
        StaleWorkError: Work older than ``STALE_AFTER`` was held and nobody said what is to
            become of it.
    """
    key: dict[str, Any] = {"organization_id": organization_id}
    lifted_row = (await connection.execute(_LIFT, key)).mappings().one_or_none()
    lifted = Stop(**lifted_row) if lifted_row else None
    runs = await wake_held_runs(connection, organization_id)
    cancelled_executions = cancelled_messages = 0
    if cancel_older_than is not None:
        limit = {
            **key,
            "older_than": cancel_older_than,
            "stopped_at": lifted.stopped_at if lifted else None,
        }
        cancelled_executions = (await connection.execute(_CANCEL_EXECUTIONS, limit)).rowcount
        cancelled_messages = (await connection.execute(_CANCEL_MESSAGES, limit)).rowcount
    freed = (await connection.execute(_FREED_WORK, {**key, "older_than": STALE_AFTER})).one()
    undecided = lifted is not None and cancel_older_than is None and not send_everything
    if undecided and freed.stale_executions + freed.stale_messages:
        raise StaleWorkError(freed.stale_executions, freed.stale_messages, STALE_AFTER)
    return Resumption(
        lifted=lifted,
        standing=await standing_stops(connection, organization_id),
        executions=freed.executions,
        messages=freed.messages,
        cancelled_executions=cancelled_executions,
        cancelled_messages=cancelled_messages,
        runs=runs,
    )


async def wake_held_runs(
    connection: AsyncConnection, organization_id: UUID | None
) -> tuple[str, ...]:
    """Let the runs of one organization, or of all, go on whose message no stop holds any more.

    Returns:
        The ids of their workflows; each is to be told. A resume has done this. Done again after its
        commit, it finds what came to be held in between.
    """
    woken = await connection.execute(_WAKE, {"organization_id": organization_id})
    return tuple(workflow_id(run.id, run.redrives) for run in woken)


async def withdraw_message(
    connection: AsyncConnection, message_id: UUID, organization_id: UUID, reason: str
) -> SendReceipt:
    """Cancel a message that is queued or held; return what became of it, whoever settled it."""
    result = await connection.execute(
        _WITHDRAW, {"id": message_id, "organization_id": organization_id, "reason": reason}
    )
    row = result.mappings().one()
    return SendReceipt(status=MessageStatus(row["status"]), reason=row["reason"])
