"""Accept events from outside: the one way in that HTTP and the command line share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Final, Literal
from uuid import UUID
from weakref import WeakValueDictionary

from pydantic import Field
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.errors import (
    EventsRefusedError,
    Problem,
    RequestChangedError,
    RequestUnderWayError,
)
from fixlify.domain.intake import MAX_EVENTS, MAX_PROBLEMS, CustomEvent, no_such_subject
from fixlify.domain.models import Frozen
from fixlify.storage.api_requests import (
    StoredResponse,
    find_response,
    store_response,
    try_lock_request,
)
from fixlify.storage.database import Database
from fixlify.storage.intake import RecordedEvent, record_events, unknown_subjects

RESPONSES_KEPT: Final = timedelta(hours=24)
"""For how long a request may be repeated under its idempotency key."""

_DEADLOCK: Final = "40P01"
# Two batches with the same ids in different order; the one that loses starts again.
_ATTEMPTS: Final = 3
_PATIENCE: Final = timedelta(seconds=30)
"""How long a request waits for others of its organization; a statement may take as long."""


class EventReceipt(Frozen):
    """What became of one event: ``id`` is its row's, also where it was recorded before."""

    id: str
    status: Literal["accepted", "duplicate"]


class Receipt(Frozen):
    """What became of the events of one request, in their order."""

    accepted: int = Field(description="How many events were recorded now.")
    duplicates: int = Field(description="How many were recorded before.")
    events: list[EventReceipt]


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request that its sender may repeat: the key it chose, and a hash of what it sent."""

    key: str
    body_hash: str


class Intake:
    """Records events for one organization at a time; lives as long as its process.

    The database acts as the engine; whoever calls has made sure of the organization.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turns: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    async def accept(self, organization_id: UUID, events: Mapping[str, CustomEvent]) -> Receipt:
        """Record all of *events*, or none; they come with their places.

        A second call records events with an id once, and events without one again.

        Raises:
            EventsRefusedError: The organization lacks some of the subjects.
        """
        return await self._accept(organization_id, events, None)

    async def accept_keyed(
        self, organization_id: UUID, request: KeyedRequest, events: Mapping[str, CustomEvent]
    ) -> Receipt:
        """Record all of *events*, or none, and remember the answer under the request's key.

        A second call records nothing; ``answer_of`` has its answer.

        Raises:
            EventsRefusedError: The organization lacks some of the subjects.
            RequestUnderWayError: A request with this key is being answered, or just was.
        """
        return await self._accept(organization_id, events, request)

    async def answer_of(self, organization_id: UUID, request: KeyedRequest) -> Receipt | None:
        """Return what *request* was answered in the last 24 hours, or None.

        Raises:
            RequestChangedError: The key was used for another request.
        """
        async with self._database.statement() as connection:
            found = await find_response(connection, organization_id, request.key, RESPONSES_KEPT)
        if found is None:
            return None
        if found.request_hash != request.body_hash:
            raise RequestChangedError("this Idempotency-Key was used for another request")
        return Receipt.model_validate(found.response)

    async def _accept(
        self,
        organization_id: UUID,
        events: Mapping[str, CustomEvent],
        request: KeyedRequest | None,
    ) -> Receipt:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                async with (
                    self._turn(organization_id),
                    self._database.transaction() as connection,
                ):
                    if request is None:
                        return await _record(connection, organization_id, events)
                    return await _record_keyed(connection, organization_id, events, request)
            except DBAPIError as error:
                is_deadlock = getattr(error.orig, "sqlstate", None) == _DEADLOCK
                if not is_deadlock or attempt == _ATTEMPTS:
                    raise
        raise AssertionError("the last attempt returns or raises")

    @asynccontextmanager
    async def _turn(self, organization_id: UUID) -> AsyncIterator[None]:
        """Let one request of an organization at a time hold a connection.

        An organization whose requests wait, for each other or for a lock that its own programs
        hold, would take every connection, and all others would wait with it.

        Raises:
            TimeoutError: Its turn did not come.
        """
        turn = self._turns.setdefault(organization_id, asyncio.Lock())
        async with asyncio.timeout(_PATIENCE.total_seconds()):
            await turn.acquire()
        try:
            yield
        finally:
            turn.release()


async def _record_keyed(
    connection: AsyncConnection,
    organization_id: UUID,
    events: Mapping[str, CustomEvent],
    request: KeyedRequest,
) -> Receipt:
    # Waiting for the other one would hold a connection that somebody else needs.
    if not await try_lock_request(connection, organization_id, request.key) or (
        await find_response(connection, organization_id, request.key, RESPONSES_KEPT)
    ):
        raise RequestUnderWayError("a request with this Idempotency-Key is being answered")
    receipt = await _record(connection, organization_id, events)
    stored = StoredResponse(request.body_hash, receipt.model_dump())
    await store_response(connection, organization_id, request.key, stored)
    return receipt


async def _record(
    connection: AsyncConnection, organization_id: UUID, events: Mapping[str, CustomEvent]
) -> Receipt:
    recorded: list[RecordedEvent] = []
    problems: list[Problem] = []
    for part in _parts(events):
        unknown = await unknown_subjects(connection, organization_id, list(part.values()))
        problems += _unknown(part, unknown)
        if not problems:
            recorded += await record_events(connection, organization_id, list(part.values()))
    if problems:
        raise EventsRefusedError(problems[:MAX_PROBLEMS])
    duplicates = sum(each.is_duplicate for each in recorded)
    return Receipt(
        accepted=len(recorded) - duplicates,
        duplicates=duplicates,
        events=[
            EventReceipt(id=str(each.id), status="duplicate" if each.is_duplicate else "accepted")
            for each in recorded
        ],
    )


def _parts(events: Mapping[str, CustomEvent]) -> Iterator[dict[str, CustomEvent]]:
    """Yield *events* as many at a time as one statement takes; a file may hold more."""
    items = iter(events.items())
    while part := dict(islice(items, MAX_EVENTS)):
        yield part


def _unknown(events: Mapping[str, CustomEvent], places: list[int]) -> Iterator[Problem]:
    pointers = list(events)
    for place in places[:MAX_PROBLEMS]:
        pointer = pointers[place]
        subject = events[pointer].subject
        if subject is not None:
            yield Problem(f"{pointer}/subject/id", no_such_subject(subject))
