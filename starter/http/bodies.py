"""Reading a request's body without letting it take memory, time or the process."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from email.message import Message
from http import HTTPStatus
from typing import Final

from starlette.requests import ClientDisconnect, Request

from starter.http.problems import ProblemError

MAX_BODY: Final = 1024 * 1024
"""Bytes."""
# The second is no registered name, and in many programs all the same.
_CHARSETS: Final = frozenset({"utf-8", "utf8", "us-ascii"})
# A caller that still writes when we hang up never reads why. This much more is thrown away
# unread; then we do hang up.
_MAX_IGNORED: Final = 8 * MAX_BODY
# A caller that sends a megabyte more slowly than this holds a connection for nothing.
BODY_DEADLINE: Final = timedelta(seconds=30)


async def read_body(request: Request) -> bytes:
    """Return the body, which says of itself that it is JSON.

    Raises:
        ProblemError: 415 for another media type or a compressed body, and as ``read_bytes``.
    """
    _require_json(request)
    return await read_bytes(request, advice="send the events in several requests")


async def read_bytes(request: Request, *, advice: str = "nothing here needs that much") -> bytes:
    """Return the body, of whatever type.

    Args:
        request: One whose body nobody has read yet.
        advice: What to do where it is too large, for the caller.

    Raises:
        ProblemError: 413 for more than a megabyte, however its length is declared, 408 for
            a body that does not end, 400 for one that broke off.
    """
    body = bytearray()
    length = 0
    try:
        async with asyncio.timeout(BODY_DEADLINE.total_seconds()):
            async for chunk in request.stream():
                length += len(chunk)
                if length <= MAX_BODY:
                    body += chunk
                elif length > _MAX_IGNORED:
                    break
    except TimeoutError:
        raise ProblemError(
            HTTPStatus.REQUEST_TIMEOUT, "the body did not end within 30 seconds"
        ) from None
    except ClientDisconnect:
        # Nobody reads this; a body that broke off must not count as one that ended.
        raise ProblemError(HTTPStatus.BAD_REQUEST, "the body broke off") from None
    if length > MAX_BODY:
        raise ProblemError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than a megabyte; {advice}"
        )
    return bytes(body)


def _require_json(request: Request) -> None:
    content = Message()
    content["content-type"] = request.headers.get("content-type", "")
    charset = content.get_content_charset("utf-8")
    if content.get_content_type() != "application/json" or charset not in _CHARSETS:
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send Content-Type: application/json, in UTF-8"
        )
    if request.headers.get("content-encoding", "identity") != "identity":
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send the body as it is, without Content-Encoding"
        )
