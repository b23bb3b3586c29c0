"""What API requests with an idempotency key were answered, for as long as they may be repeated."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_TRY_LOCK_REQUEST = text("""
    SELECT pg_try_advisory_xact_lock(
        hashtextextended('api_requests/' || CAST(:organization_id AS text) || '/' || :key, 0)
    )
""")

_FIND_RESPONSE = text("""
    SELECT request_hash, response FROM api_requests
    WHERE organization_id = :organization_id AND idempotency_key = :key
      AND created_at > clock_timestamp() - CAST(:kept_for AS interval)
""")

# One that is too old to be found is in the way of its successor.
_FORGET_RESPONSE = text(
    "DELETE FROM api_requests WHERE organization_id = :organization_id AND idempotency_key = :key"
)

_STORE_RESPONSE = text("""
    INSERT INTO api_requests (organization_id, idempotency_key, request_hash, response)
    VALUES (:organization_id, :key, :request_hash, CAST(:response AS jsonb))
""")

# The statement's time, which stands still: with the clock's, every answer would be looked at.
_FORGET_RESPONSES = text("""
    DELETE FROM api_requests WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM api_requests
        WHERE created_at <= statement_timestamp() - CAST(:kept_for AS interval)
        ORDER BY created_at
        LIMIT :at_most
    ))
""")


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """What a request was answered; ``request_hash`` tells whether another is the same one."""

    request_hash: str
    response: dict[str, Any]


async def try_lock_request(connection: AsyncConnection, organization_id: UUID, key: str) -> bool:
    """Take *key* until the transaction ends; False while another request has it."""
    taken: bool = (
        await connection.execute(
            _TRY_LOCK_REQUEST, {"organization_id": organization_id, "key": key}
        )
    ).scalar_one()
    return taken


async def find_response(
    connection: AsyncConnection, organization_id: UUID, key: str, kept_for: timedelta
) -> StoredResponse | None:
    """Return what the request with *key* was answered, unless that was longer ago."""
    rows = await connection.execute(
        _FIND_RESPONSE, {"organization_id": organization_id, "key": key, "kept_for": kept_for}
    )
    return next((StoredResponse(**row) for row in rows.mappings()), None)


async def store_response(
    connection: AsyncConnection, organization_id: UUID, key: str, response: StoredResponse
) -> None:
    """Remember an answer; the transaction holds *key*, and found none that is still kept."""
    request = {"organization_id": organization_id, "key": key}
    await connection.execute(_FORGET_RESPONSE, request)
    await connection.execute(
        _STORE_RESPONSE,
        request
        | {"request_hash": response.request_hash, "response": json.dumps(response.response)},
    )


async def forget_responses(connection: AsyncConnection, kept_for: timedelta, at_most: int) -> None:
    """Delete the oldest answers that nobody may ask for any more."""
    await connection.execute(_FORGET_RESPONSES, {"kept_for": kept_for, "at_most": at_most})
