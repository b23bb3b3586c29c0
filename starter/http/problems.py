"""Every error as ``application/problem+json`` (RFC 9457), and nothing of the inside in it."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

import structlog
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fixlify.domain.errors import Problem
from fixlify.storage.failures import blames_the_data, cause_of

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_OUTAGE: Final = "5"
"""Seconds; a restarting database needs about as long."""

# RFC 3986, section 3.3, and the sign that escapes.
_PATH_CHARACTERS: Final = "/%:@!$&'()*+,;=~"
# The body did not come to its end; with the connection ends what is left of it.
_BODY_LEFT: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE})

_log = structlog.get_logger(__name__)


class FieldProblem(BaseModel):
    """One thing wrong with what was sent."""

    pointer: str = Field(description="Where: a JSON pointer (RFC 6901) into the body.")
    detail: str = Field(description="What is wrong, and what would be right.")


class ProblemDetails(BaseModel):
    """An error (RFC 9457)."""

    type: str = Field(
        default="about:blank", description="about:blank, where the status says it all."
    )
    title: str
    status: int
    detail: str
    instance: str = Field(description="The path of the request.")
    errors: list[FieldProblem] | None = Field(
        default=None, description="What is wrong with the body, place by place; at most 50."
    )


class ProblemError(HTTPException):
    """Ends a request with a problem; ``detail`` is a sentence for the caller."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        kind: str = "about:blank",
        errors: Sequence[Problem] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail, headers)
        self.kind = kind
        self.errors = errors


class ProblemResponse(Response):
    """A problem on its way out."""

    media_type = MEDIA_TYPE

    def __init__(self, details: ProblemDetails, headers: Mapping[str, str] | None = None) -> None:
        # ASCII alone: what a caller sent, and we repeat, may be no text that UTF-8 can carry.
        body = json.dumps(details.model_dump(exclude_none=True)).encode("ascii")
        super().__init__(body, details.status, headers)


async def answer_http_error(request: Request, error: Exception) -> ProblemResponse:
    """Answer what a route, or the router itself (404, 405), ended a request with."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    status = HTTPStatus(error.status_code)
    kind, errors, detail = "about:blank", None, error.detail
    if isinstance(error, ProblemError):
        kind = error.kind
        errors = [FieldProblem(pointer=it.path, detail=it.message) for it in error.errors] or None
    elif status is HTTPStatus.NOT_FOUND:
        detail = "nothing is here; /api/v1/openapi.json describes what there is"
    elif status is HTTPStatus.METHOD_NOT_ALLOWED:
        detail = "this cannot be done here; the Allow header names what can"
    details = ProblemDetails(
        type=kind,
        title=status.phrase,
        status=status,
        detail=detail,
        instance=_instance(request.scope),
        errors=errors,
    )
    headers = dict(error.headers or {})
    if status in _BODY_LEFT:
        headers["Connection"] = "close"
    return ProblemResponse(details, headers)


async def answer_invalid_parameter(request: Request, error: Exception) -> ProblemResponse:
    """Answer a header that is not as the API describes it."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for nothing else
    names = sorted({str(found["loc"][-1]) for found in error.errors()})
    details = ProblemDetails(
        title=HTTPStatus.UNPROCESSABLE_ENTITY.phrase,
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        detail=f"the header {', '.join(names)} must be 1 to 200 visible ASCII characters",
        instance=_instance(request.scope),
    )
    return ProblemResponse(details)


class FaultBarrier:
    """Turns what no route expected into 503 or 500, and says in the log where it came from.

    The log gets the error's type and its way through the code, never its words: they may hold
    what a caller sent.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def note(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, note)
        except asyncio.CancelledError:
            # The end of the process, and nothing else, cancels a request; then nothing is left
            # to do for it but to say so.
            response = _ended(scope)
        except Exception as error:
            response = _unavailable(scope, error) or _fault(scope, error)
        else:
            return
        if not started:
            await response(scope, receive, send)


def _ended(scope: Scope) -> ProblemResponse:
    _log.warning("A request took longer than the end of the process waits.")
    details = ProblemDetails(
        title=HTTPStatus.SERVICE_UNAVAILABLE.phrase,
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        detail="the service stops; repeat the request with the same Idempotency-Key, which is "
        "recorded once at most",
        instance=_instance(scope),
    )
    return ProblemResponse(details, {"Retry-After": RETRY_AFTER_OUTAGE})


def _unavailable(scope: Scope, error: Exception) -> ProblemResponse | None:
    """Return the answer to an error of a database that is away, None for any other error."""
    if not isinstance(error, SQLAlchemyError | OSError | TimeoutError) or blames_the_data(error):
        return None
    _log.warning(
        "The database cannot be used now; a request was turned away.", error=cause_of(error)
    )
    details = ProblemDetails(
        title=HTTPStatus.SERVICE_UNAVAILABLE.phrase,
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        detail="the database cannot be used now; repeat the request with the same "
        "Idempotency-Key, which is recorded once at most",
        instance=_instance(scope),
    )
    return ProblemResponse(details, {"Retry-After": RETRY_AFTER_OUTAGE})


def _fault(scope: Scope, error: Exception) -> ProblemResponse:
    _log.error(
        "A request failed for a reason nobody foresaw.",
        error=cause_of(error),
        way=_way(error),
    )
    details = ProblemDetails(
        title=HTTPStatus.INTERNAL_SERVER_ERROR.phrase,
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
        detail="this is our fault, and was logged; repeat the request with the same "
        "Idempotency-Key, which is recorded once at most",
        instance=_instance(scope),
    )
    return ProblemResponse(details)


def _way(error: Exception) -> list[str]:
    """Return where in our own code *error* came through, the outermost place first."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "site-packages" not in frame.filename]
    return [f"{frame.filename}:{frame.lineno}" for frame in ours]


def _instance(scope: Scope) -> str:
    """Return the path as it was asked for; what is no part of a URI is escaped."""
    return quote(scope.get("raw_path") or scope["path"], safe=_PATH_CHARACTERS)
