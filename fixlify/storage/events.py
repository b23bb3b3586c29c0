"""The outbox: claiming events, and saying what became of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.events import STATUS_CHANGES, Event, EventType, SubjectType
from fixlify.storage.facts import READABLE
from fixlify.storage.tables.automations import OWNER

CHANNEL: Final = "automation_events"
"""What the row triggers NOTIFY."""

SWEPT_PER_BATCH: Final = 25
"""How much of one batch may be what sweeps found."""

_KNOWN: Final = [event_type.value for event_type in EventType]

_HAPPENED: Final = "processed_at IS NULL AND automation_id IS NULL"
_SWEPT: Final = "processed_at IS NULL AND automation_id IS NOT NULL"


# Of all owners together, to find whose turn it is.
_LOOKED_AT: Final = 1000


def _in_turns(kind: str, of_kind: str, at_most: str) -> str:
    """Return the SQL that locks up to *at_most* events *of_kind* as *kind*, each owner's in turn.

    Owners are found one after another by the beginning of the index, and of each a few rows are
    looked at, so what one of them has beyond that costs the others nothing. Those whose oldest
    event waits longest come first, so that more owners than a batch has room for all get their
    turn. Where a few have much and many little, a batch may be two thirds full.
    """
    return f"""
        {kind}_owners AS (
            (SELECT {OWNER} AS owner FROM automation_events
             WHERE {of_kind} ORDER BY owner LIMIT 1)
            UNION ALL
            SELECT next.owner
            FROM {kind}_owners AS known CROSS JOIN LATERAL (
                SELECT {OWNER} AS owner FROM automation_events
                WHERE {of_kind} AND {OWNER} > known.owner ORDER BY owner LIMIT 1
            ) AS next
        ), {kind}_shares AS (
            SELECT owner, count(*) AS share
            FROM (
                SELECT owner, id, row_number() OVER (PARTITION BY owner ORDER BY id) AS turn
                FROM {kind}_owners CROSS JOIN LATERAL (
                    SELECT id FROM automation_events
                    WHERE {of_kind} AND {OWNER} = owner AND event_type = ANY(:known)
                    ORDER BY {OWNER}, id
                    LIMIT least(:batch, 1 + {_LOOKED_AT} / (SELECT count(*) FROM {kind}_owners))
                ) AS its_own
                ORDER BY turn, id
                LIMIT {at_most}
            ) AS turns
            GROUP BY owner
        ), {kind} AS (
            SELECT its_own.*
            FROM {kind}_shares CROSS JOIN LATERAL (
                SELECT * FROM automation_events
                WHERE {of_kind} AND {OWNER} = owner AND event_type = ANY(:known)
                ORDER BY {OWNER}, id
                LIMIT share
                FOR UPDATE SKIP LOCKED
            ) AS its_own
        )
    """  # noqa: S608 - constants of this module


# SKIP LOCKED lets several relays share the work; the losing side simply sees other rows.
# Migrations run before the code that knows their events: a type that is new here is left for
# the relay that comes after us.
#
# What happened just now comes first. What a sweep found by the thousand fills the rest of a
# batch, and never so much of it that the next text "we are on our way" waits for its launches.
_CLAIM = text(f"""
    WITH RECURSIVE {_in_turns("happened", _HAPPENED, ":batch")},
        {_in_turns("swept", _SWEPT, "least(:swept, :batch - (SELECT count(*) FROM happened))")}
    SELECT id, organization_id, event_type, subject_type, subject_id, data, automation_id,
           occurrence_key, chain, caused_by,
           CASE WHEN occurred_at {READABLE} THEN occurred_at END AS occurred_at,
           CASE WHEN occurred_at {READABLE} THEN clock_timestamp() - occurred_at END AS waited
    FROM (SELECT * FROM happened UNION ALL SELECT * FROM swept) AS claimed
    ORDER BY id
""")  # noqa: S608 - constants

_MARK_PROCESSED = text("""
    UPDATE automation_events AS event
    SET processed_at = clock_timestamp(), outcome = done.outcome
    FROM jsonb_to_recordset(CAST(:done AS jsonb)) AS done (id bigint, outcome text)
    WHERE event.id = done.id
""")


@dataclass(frozen=True, slots=True)
class ClaimedEvents:
    """A batch held by the current transaction.

    ``unreadable`` holds rows that are no event this code knows, each with its reason; they
    are marked with it rather than left to block the batch for ever.
    """

    events: Sequence[Event]
    unreadable: Mapping[int, str]

    def __len__(self) -> int:
        return len(self.events) + len(self.unreadable)

    @property
    def swept(self) -> int:
        """How many of them sweeps found."""
        return sum(event.automation_id is not None for event in self.events)


async def claim_events(connection: AsyncConnection, batch: int) -> ClaimedEvents:
    """Lock up to *batch* unprocessed events until the transaction ends.

    Organizations take turns, each with its oldest. Of what sweeps found it is
    ``SWEPT_PER_BATCH`` at most, after everything else.
    """
    events: list[Event] = []
    unreadable: dict[int, str] = {}
    claim = {"batch": batch, "swept": SWEPT_PER_BATCH, "known": _KNOWN}
    for row in (await connection.execute(_CLAIM, claim)).mappings():
        try:
            events.append(read_event(row))
        except (ValueError, AttributeError) as error:
            unreadable[row["id"]] = f"unreadable: {row['event_type']}: {type(error).__name__}"
    return ClaimedEvents(events, unreadable)


async def mark_processed(connection: AsyncConnection, outcomes: Mapping[int, str]) -> None:
    """Record what became of each event, by id."""
    if outcomes:
        done = [{"id": event_id, "outcome": outcome} for event_id, outcome in outcomes.items()]
        await connection.execute(_MARK_PROCESSED, {"done": json.dumps(done)})


def read_event(row: Mapping[Any, Any]) -> Event:
    """Return the event of a row that has its columns.

    Raises:
        ValueError, AttributeError: It is no event this code knows.
    """
    data = row["data"]
    if not isinstance(data, dict):
        raise ValueError("data is no object")
    for status in (data.get("before"), data.get("after")):
        if row["event_type"] in STATUS_CHANGES and not isinstance(status, str | None):
            raise ValueError("a status is text")
    return Event(
        id=row["id"],
        organization_id=row["organization_id"],
        type=EventType(row["event_type"]),
        subject_type=SubjectType(row["subject_type"]),
        subject_id=row["subject_id"],
        data=data,
        occurred_at=row["occurred_at"],
        automation_id=row["automation_id"],
        occurrence_key=row["occurrence_key"],
        waited=row["waited"],
        chain=tuple(row["chain"] or ()),
        caused_by=row["caused_by"],
    )
