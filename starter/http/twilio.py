"""The addresses that Twilio calls: what became of our messages, and what people write to us."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl

import structlog
from fastapi import APIRouter, Path
from pydantic import SecretStr
from starlette.datastructures import ImmutableMultiDict
from starlette.requests import Request
from starlette.responses import Response
from twilio.request_validator import (  # type: ignore[import-untyped]
    SIGNATURE_HEADER,
    SIGNATURE_SETTINGS_HEADER,
    RequestValidator,
    get_signature_algorithm,
)
from twilio.twiml.messaging_response import MessagingResponse  # type: ignore[import-untyped]

from fixlify.channels.sms.callbacks import INBOUND_PATH, STATUS_PATH
from fixlify.domain.strict_json import read_json
from fixlify.settings import Settings
from fixlify.storage.database import Database
from starter.callbacks.statuses import StatusReports
from starter.callbacks.texts import InboundTexts
from starter.http.bodies import read_bytes
from starter.http.openapi import refusals
from starter.http.problems import ProblemError
from starter.http.rates import Rates, network_of

_MOST_PARAMETERS: Final = 200
_REFUSALS: Final = (400, 403, 408, 413, 429, 500, 503)

# What Postgres takes into no text: NUL, and halves of surrogate pairs.
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TwilioCaller:
    """Who calls, and under which address they know us.

    Attributes:
        account_sid: The account that every call is about.
        auth_token: What its calls are signed with.
        public_url: The address before the path, as Twilio has it.
    """

    account_sid: str
    auth_token: SecretStr
    public_url: str


def twilio_caller(settings: Settings) -> TwilioCaller | None:
    """Return who may call; None where Twilio, or our own address, is not configured."""
    sid, token, url = settings.twilio_account_sid, settings.twilio_auth_token, settings.public_url
    return TwilioCaller(sid, token, url) if sid and token and url else None


class SignatureCheck:
    """Lets Twilio in and nobody else; lives as long as its application.

    Calls that are signed are never counted: a thousand messages are called back in a burst. Of
    the others each address has its share, so that nobody can fill the log.
    """

    def __init__(self, caller: TwilioCaller | None, rates: Rates) -> None:
        """Check for *caller*; without one, nobody is let in."""
        self._caller = caller
        self._rates = rates

    async def admit(self, request: Request) -> Mapping[str, str]:
        """Return the parameters of a call that Twilio signed.

        Raises:
            ProblemError: 403 for any other; 429 for too many of those from one address; and as
                ``read_bytes``.
        """
        body = await read_bytes(request)
        if self._caller is None:
            raise self._refusal(request, "Twilio or FIXLIFY_PUBLIC_URL is not configured")
        parameters = _signed(request, body, self._caller)
        if parameters is None:
            raise self._refusal(request, "the signature is missing or wrong for this address")
        if parameters.get("AccountSid") != self._caller.account_sid:
            raise self._refusal(request, "it is about another account")
        return {name: _UNSTORABLE.sub("\ufffd", value) for name, value in parameters.items()}

    def _refusal(self, request: Request, reason: str) -> ProblemError:
        self._rates.count("signature", network_of(request.client.host if request.client else ""))
        url = _called(request, self._caller).partition("?")[0] if self._caller else None
        _log.warning("A call that claims to be Twilio's was refused.", reason=reason, url=url)
        return ProblemError(
            HTTPStatus.FORBIDDEN, "only Twilio may call this, with its signature; see the log"
        )


def twilio_router(database: Database, caller: TwilioCaller | None, rate: str) -> APIRouter:
    """Return the routes.

    Args:
        database: Acts as the engine role: whose message it is is not known before.
        caller: Who may call; None lets nobody in.
        rate: How often one address may be refused, such as ``600/minute``.
    """
    check = SignatureCheck(caller, Rates(rate))
    statuses, texts = StatusReports(database), InboundTexts(database)
    router = APIRouter(tags=["Twilio"])

    @router.post(
        f"{STATUS_PATH}/{{message_id}}",
        operation_id="twilio_status",
        summary="Twilio reports what became of a message",
        status_code=HTTPStatus.NO_CONTENT,
        openapi_extra={"requestBody": _body("MessageSid", "MessageStatus")},
        responses=refusals(*_REFUSALS),
    )
    async def twilio_status(
        request: Request,
        message_id: Annotated[str, Path(description="Our own id of the message.")],
    ) -> Response:
        """Signed by Twilio. A message that nobody knows is accepted, and ignored."""
        await statuses.record(message_id, await check.admit(request))
        return Response(status_code=HTTPStatus.NO_CONTENT)

    @router.post(
        INBOUND_PATH,
        operation_id="twilio_inbound",
        summary="Twilio passes on a text message",
        response_class=Response,
        openapi_extra={"requestBody": _body("MessageSid", "From", "To", "Body")},
        responses=refusals(*_REFUSALS)
        | {
            200: {
                "description": "Taken, once. TwiML: what to answer, if anything.",
                "content": {"text/xml": {"schema": {"type": "string"}}},
            }
        },
    )
    async def twilio_inbound(request: Request) -> Response:
        """Signed by Twilio. HELP is answered, everything else is recorded in silence."""
        reply = await texts.receive(await check.admit(request))
        answer = MessagingResponse()
        if reply is not None:
            answer.message(reply)
        return Response(str(answer), media_type="text/xml")

    return router


def _signed(request: Request, body: bytes, caller: TwilioCaller) -> Mapping[str, str] | None:
    """Return the parameters where they are signed; both of Twilio's ways are understood.

    A form is signed with all of its fields. Any other body is signed by its hash, which is a
    part of the address: https://www.twilio.com/docs/usage/security#validating-requests.
    """
    signature = request.headers.get(SIGNATURE_HEADER, "")
    algorithm = get_signature_algorithm(request.headers.get(SIGNATURE_SETTINGS_HEADER))
    is_json = "json" in request.headers.get("content-type", "")
    if is_json and "bodySHA256" not in request.query_params:
        return None
    validator = RequestValidator(caller.auth_token.get_secret_value())
    try:
        text = body.decode("utf-8")
        parameters = text if is_json else _form(text)
        if not validator.validate(_called(request, caller), parameters, signature, algorithm):
            return None
        return _flat(read_json(body)) if is_json else _form(text)
    except ValueError:
        # No text in UTF-8, no JSON, or more fields than any message has.
        return None


def _called(request: Request, caller: TwilioCaller) -> str:
    """Return the address as Twilio called it, whatever a proxy made of it on the way."""
    path = (request.scope.get("raw_path") or request.url.path.encode()).decode("latin-1")
    query = request.scope["query_string"].decode("latin-1")
    return f"{caller.public_url}{path}{'?' if query else ''}{query}"


def _form(text: str) -> ImmutableMultiDict[str, str]:
    fields = parse_qsl(
        text, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS, errors="replace"
    )
    return ImmutableMultiDict(fields)


def _flat(document: Any) -> Mapping[str, str]:
    fields = document.items() if isinstance(document, dict) else ()
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in fields
        if value is not None
    }


def _body(*parameters: str) -> dict[str, Any]:
    """Return the description of a body that names at least these parameters of Twilio's."""
    names = ("AccountSid", *parameters)
    schema = {
        "type": "object",
        "properties": {name: {"type": "string"} for name in names},
        "required": list(names),
    }
    return {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {"schema": schema},
            "application/json": {"schema": schema},
        },
    }
