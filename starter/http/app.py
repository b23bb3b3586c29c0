"""The application: report events, and ask whether the service can take them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import structlog
from fastapi import APIRouter, Depends, FastAPI, Header, Request, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy import text
from starlette.exceptions import HTTPException

from fixlify.domain.errors import (
    EventsRefusedError,
    RequestChangedError,
    RequestUnderWayError,
    TooManyEventsError,
)
from fixlify.domain.intake import CustomEvent, parse_request
from fixlify.domain.strict_json import JsonTextError, read_json
from fixlify.storage.database import Database
from starter.http.authentication import BEARER, Gate
from starter.http.bodies import read_body
from starter.http.openapi import BODY, describe, refusals
from starter.http.problems import (
    FaultBarrier,
    ProblemError,
    answer_http_error,
    answer_invalid_parameter,
)
from starter.http.rates import Rates
from starter.intake import Intake, KeyedRequest, Receipt

ROOT: Final = "/api/v1"
_HEALTH_DEADLINE: Final = timedelta(seconds=5)

_log = structlog.get_logger(__name__)


class Health(BaseModel):
    """The service takes events."""

    status: Literal["ok"] = "ok"


class IntakeApi:
    """The acts behind the routes; lives as long as its application."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._intake = Intake(database)
        self._now = now

    async def report_events(
        self, organization_id: UUID, body: bytes, idempotency_key: str | None
    ) -> tuple[Receipt, bool]:
        """Record the events in *body*; return what became of them, and whether that is a replay.

        Raises:
            ProblemError: Whatever is wrong with the request.
        """
        if idempotency_key is None:
            events = await self._read(body)
            return await _explained(self._intake.accept(organization_id, events)), False
        request = KeyedRequest(idempotency_key, hashlib.sha256(body).hexdigest())
        # Before the body is judged: what was accepted once is so, however late it is repeated.
        if answer := await _explained(self._intake.answer_of(organization_id, request)):
            return answer, True
        events = await self._read(body)
        receipt = await _explained(self._intake.accept_keyed(organization_id, request, events))
        return receipt, False

    async def check_health(self) -> None:
        """Raise what the database raises, or TimeoutError where it says nothing."""
        async with (
            asyncio.timeout(_HEALTH_DEADLINE.total_seconds()),
            self._database.statement() as connection,
        ):
            await connection.execute(text("SELECT 1"))

    async def _read(self, body: bytes) -> dict[str, CustomEvent]:
        try:
            # In a thread: the relay may live in this process, and a megabyte takes a while.
            return await asyncio.to_thread(_read_events, body, self._now())
        except JsonTextError as error:
            raise ProblemError(HTTPStatus.BAD_REQUEST, f"the body {error}") from None
        except TooManyEventsError as error:
            raise ProblemError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body {error.problems[0].message}"
            ) from None
        except EventsRefusedError as error:
            raise _refused(error) from None


def build_app(
    database: Database,
    rate: str,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    *,
    routers: Sequence[APIRouter] = (),
) -> FastAPI:
    """Return the application.

    Args:
        database: Acts as the engine role: who calls is not known before the key is looked up.
        rate: How often one caller may ask, such as ``600/minute``.
        now: The clock that stale events are judged by.
        routers: What else is answered here: calls of providers, pages for people.
    """
    rates = Rates(rate)
    gate = Gate(database, rates)
    # A default below, since an annotation is looked up where the gate is not known.
    caller = Depends(gate.admit)
    api = IntakeApi(database, now)
    app = FastAPI(
        title="Fixlify Automations",
        version="1",
        openapi_url=f"{ROOT}/openapi.json",
        # The pages would load scripts from elsewhere; the description itself is here.
        docs_url=None,
        redoc_url=None,
        # A redirect would repeat the Host header of whoever asked.
        redirect_slashes=False,
        exception_handlers={
            HTTPException: answer_http_error,
            RequestValidationError: answer_invalid_parameter,
        },
    )
    app.add_middleware(FaultBarrier)

    @app.post(
        f"{ROOT}/events",
        operation_id="report_events",
        summary="Report one event, or up to 1,000 together",
        status_code=HTTPStatus.ACCEPTED,
        response_model=Receipt,
        dependencies=[Security(BEARER)],
        openapi_extra={"requestBody": BODY},
        responses=refusals(400, 401, 408, 409, 413, 415, 422, 429, 500, 503)
        | {
            202: {
                "description": "Recorded, all of them; automations run from here on.",
                "headers": {
                    "Idempotency-Replayed": {
                        "description": "true where this is an earlier answer again.",
                        "schema": {"type": "string", "enum": ["true"]},
                    }
                },
            }
        },
    )
    async def report_events(
        request: Request,
        organization_id: UUID = caller,
        idempotency_key: Annotated[
            str | None,
            Header(
                alias="Idempotency-Key",
                pattern=r"^[!-~]{1,200}$",
                description="Your own name for this request. Repeated within 24 hours it "
                "records nothing, and is answered as the first time.",
            ),
        ] = None,
    ) -> Any:
        """All events are recorded, or none. What they set off begins at once."""
        body = await read_body(request)
        receipt, is_replay = await api.report_events(organization_id, body, idempotency_key)
        _log.info(
            "Events were reported.",
            organization=str(organization_id),
            accepted=receipt.accepted,
            duplicates=receipt.duplicates,
            replayed=is_replay,
        )
        return JSONResponse(
            receipt.model_dump(),
            HTTPStatus.ACCEPTED,
            {"Idempotency-Replayed": "true"} if is_replay else None,
        )

    @app.get(
        f"{ROOT}/health",
        operation_id="check_health",
        summary="Ask whether events can be taken",
        dependencies=[Depends(gate.admit_anybody)],
        responses=refusals(429, 500, 503),
    )
    async def check_health() -> Health:
        """Answers 200 where the database does, too. Needs no key."""
        await api.check_health()
        return Health()

    for router in routers:
        app.include_router(router)
    describe(app)
    return app


def _read_events(body: bytes, now: datetime) -> dict[str, CustomEvent]:
    return parse_request(read_json(body), now)


async def _explained(work: Any) -> Any:
    """Await *work*; what it refuses becomes the caller's problem."""
    try:
        return await work
    except EventsRefusedError as error:
        raise _refused(error) from None
    except RequestChangedError:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "this Idempotency-Key was used with another body; choose a new one",
            kind="urn:fixlify:problem:idempotency-key-reused",
        ) from None
    except RequestUnderWayError:
        raise ProblemError(
            HTTPStatus.CONFLICT,
            "a request with this Idempotency-Key is being answered; repeat it in a second",
            kind="urn:fixlify:problem:request-under-way",
            headers={"Retry-After": "1"},
        ) from None


def _refused(error: EventsRefusedError) -> ProblemError:
    return ProblemError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "nothing was recorded; correct what errors lists, and send everything again",
        kind="urn:fixlify:problem:invalid-events",
        errors=error.problems,
    )
