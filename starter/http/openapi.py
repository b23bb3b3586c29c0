"""The API's description (OpenAPI 3.1): bodies from the domain's models, errors as problems."""

from __future__ import annotations

from http import HTTPStatus
from types import MethodType
from typing import Any, Final

from fastapi import FastAPI

from fixlify.domain.intake import request_schema
from starter.http.problems import MEDIA_TYPE, ProblemDetails

_REFERENCE: Final = "#/components/schemas/{model}"
_BODY_SCHEMA: Final = request_schema(_REFERENCE)
_PROBLEM: Final = {
    MEDIA_TYPE: {"schema": {"$ref": _REFERENCE.format(model=ProblemDetails.__name__)}}
}
_RETRY_LATER: Final = {
    HTTPStatus.CONFLICT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
}

BODY: Final[dict[str, Any]] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {key: value for key, value in _BODY_SCHEMA.items() if key != "$defs"},
            "examples": {
                "one": {
                    "summary": "One event about a job",
                    "value": {
                        "name": "review.submitted",
                        "subject": {"type": "job", "id": "J-2019"},
                        "data": {"stars": 5},
                        "id": "review-81723",
                    },
                },
                "several": {
                    "summary": "Several, together or not at all",
                    "value": {"events": [{"name": "shop.opened"}, {"name": "shop.closed"}]},
                },
            },
        }
    },
}
"""The request body of ``POST /events``, which is read by hand to keep its limits."""


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the descriptions of a route's errors."""
    return {status: _refusal(HTTPStatus(status)) for status in statuses}


def describe(app: FastAPI) -> None:
    """Let *app* describe itself with the models that no route's signature names."""
    described = app.openapi

    def openapi(self: FastAPI) -> dict[str, Any]:
        if self.openapi_schema is None:
            document = described()
            schemas = document["components"]["schemas"]
            schemas |= _BODY_SCHEMA["$defs"]
            problem = ProblemDetails.model_json_schema(ref_template=_REFERENCE)
            schemas |= problem.pop("$defs")
            schemas[ProblemDetails.__name__] = problem
            # FastAPI's own errors, which no route of ours answers with.
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            self.openapi_schema = document
        return self.openapi_schema

    app.openapi = MethodType(openapi, app)  # type: ignore[method-assign]


def _refusal(status: HTTPStatus) -> dict[str, Any]:
    description: dict[str, Any] = {"description": status.phrase, "content": _PROBLEM}
    if status in _RETRY_LATER:
        description["headers"] = {
            "Retry-After": {
                "description": "Seconds to wait.",
                "schema": {"type": "string", "pattern": "^[0-9]+$"},
            }
        }
    if status is HTTPStatus.UNAUTHORIZED:
        description["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return description
