"""Where a mail system reports what became of our email."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Iterator, Sequence
from email.message import Message
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import APIRouter, Request, Security
from fastapi.security import HTTPBearer
from pydantic import SecretStr, ValidationError

from fixlify.channels.email.reports import read_reports
from fixlify.domain.errors import Problem
from fixlify.domain.problems import explain
from fixlify.domain.strict_json import JsonTextError, read_json
from fixlify.storage.database import Database
from starter.callbacks.email import (
    EmailEvents,
    EmailEventsReceipt,
    EmailReports,
    Outcome,
    Told,
    events_of,
    receipt_of,
)
from starter.http.bodies import read_body, read_bytes
from starter.http.openapi import refusals
from starter.http.problems import ProblemError
from starter.http.rates import Rates, network_of

EVENTS_PATH: Final = "/api/v1/callbacks/email/events"
REPORT_PATH: Final = "/api/v1/callbacks/email/report"
MAIL_TYPE: Final = "message/rfc822"

TOKEN: Final = HTTPBearer(
    scheme_name="CallbackToken",
    description="The installation's FIXLIFY_CALLBACK_TOKEN.",
    auto_error=False,
)
"""The scheme as OpenAPI describes it; ``_Doorman`` does what it says."""

_log = structlog.get_logger(__name__)

_MOST_PROBLEMS: Final = 50
_LONGEST_MESSAGE: Final = 300

_EXAMPLE: Final = {
    "events": [
        {
            "message_id": "<0199a3f2-5c1e-7abc-8def-0123456789ab@northwind.example>",
            "type": "bounce",
            "bounce": "hard",
            "code": "5.1.1",
            "reason": "550 5.1.1 User unknown",
            "recipient": "ada@example.com",
            "at": "2026-11-17T10:00:00Z",
        }
    ]
}


def bounce_router(database: Database, token: SecretStr | None, rate: str) -> APIRouter:
    """Return the routes by which a mail system reports.

    Args:
        database: Acts as the engine role: whose message it is follows from the message.
        token: What a mail system shows; None lets nobody in.
        rate: How often one address may come with a wrong token.
    """
    router = APIRouter()
    doorman = _Doorman(token, Rates(rate))
    reports = EmailReports(database)

    @router.post(
        EVENTS_PATH,
        operation_id="report_email_events",
        summary="Report what became of email: bounces, complaints, deliveries",
        dependencies=[Security(TOKEN)],
        openapi_extra={"requestBody": _events_body()},
        responses=refusals(400, 401, 403, 408, 413, 415, 422, 429, 500, 503),
    )
    async def report_email_events(request: Request) -> EmailEventsReceipt:
        """Repeat what was not answered: told twice, or in another order, it comes to the same."""
        doorman.admit(request)
        body = await read_body(request)
        read = await asyncio.to_thread(_read_events, body)
        return _receipt(await reports.apply(read.events))

    @router.post(
        REPORT_PATH,
        operation_id="report_returned_mail",
        summary="Report a mail that came back (RFC 3464), as it is",
        dependencies=[Security(TOKEN)],
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {MAIL_TYPE: {"schema": {"type": "string", "format": "binary"}}},
            }
        },
        responses=refusals(400, 401, 403, 408, 413, 415, 429, 500, 503),
    )
    async def report_returned_mail(request: Request) -> EmailEventsReceipt:
        """Mail that is no delivery-status report about a message of ours changes nothing."""
        doorman.admit(request)
        _require_mail(request)
        mail = await read_bytes(request, advice="send its first megabyte")
        read = await asyncio.to_thread(read_reports, mail)
        return _receipt(await reports.apply(events_of(read)))

    return router


class _Doorman:
    """Lets the mail system in, which shows its token; lives with its application."""

    def __init__(self, token: SecretStr | None, rates: Rates) -> None:
        self._token = token.get_secret_value().encode() if token else None
        self._rates = rates

    def admit(self, request: Request) -> None:
        """Return for the right token.

        Raises:
            ProblemError: 401 without one, 403 for a wrong one, 429 for too many of either.
        """
        header = request.headers.get("authorization")
        scheme, _, shown = (header or "").partition(" ")
        if (
            self._token is not None
            and scheme.lower() == "bearer"
            and hmac.compare_digest(shown.strip().encode("latin-1"), self._token)
        ):
            return
        self._rates.count("address", network_of(request.client.host if request.client else ""))
        if self._token is None:
            raise ProblemError(
                HTTPStatus.FORBIDDEN, "nothing is reported here until FIXLIFY_CALLBACK_TOKEN is set"
            )
        detail = "send the installation's FIXLIFY_CALLBACK_TOKEN as: Authorization: Bearer …"
        if header is None:
            raise ProblemError(
                HTTPStatus.UNAUTHORIZED,
                detail,
                headers={"WWW-Authenticate": 'Bearer realm="fixlify"'},
            )
        raise ProblemError(HTTPStatus.FORBIDDEN, detail)


def _receipt(told: Sequence[Told]) -> EmailEventsReceipt:
    """Log what was told, and count it."""
    for each in told:
        log = _log.bind(type=each.type, message_id=each.message_id and str(each.message_id))
        if each.outcome is Outcome.IGNORED:
            log.info("A mail system reported a message that is none of ours.")
        else:
            log.info("A mail system reported a message.", outcome=each.outcome.value)
        if each.names_another:
            log.warning("A mail system named another address than the message's own.")
    return receipt_of(told)


def _read_events(body: bytes) -> EmailEvents:
    try:
        return EmailEvents.model_validate(read_json(body))
    except JsonTextError as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"the body {error}") from None
    except ValidationError as error:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "nothing was recorded; correct what errors lists, and send everything again",
            kind="urn:fixlify:problem:invalid-events",
            errors=list(_problems(error))[:_MOST_PROBLEMS],
        ) from None


def _problems(error: ValidationError) -> Iterator[Problem]:
    found = error.errors(include_url=False)
    for details, problem in zip(found, explain(EmailEvents, error), strict=True):
        pointer = "".join(
            "/" + str(part)[:100].replace("~", "~0").replace("/", "~1") for part in details["loc"]
        )
        yield Problem(pointer, problem.message[:_LONGEST_MESSAGE])


def _require_mail(request: Request) -> None:
    content = Message()
    content["content-type"] = request.headers.get("content-type", "")
    if content.get_content_type() != MAIL_TYPE:
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"send the mail as it came in, with Content-Type: {MAIL_TYPE}",
        )


def _events_body() -> dict[str, Any]:
    schema = EmailEvents.model_json_schema()
    # In its place rather than by reference: nothing else has such events.
    schema["properties"]["events"]["items"] = schema.pop("$defs")["EmailEvent"]
    content = {"schema": schema, "examples": {"bounce": {"value": _EXAMPLE}}}
    return {"required": True, "content": {"application/json": content}}
