"""Who calls: the organization that an API key belongs to, and nobody else."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final
from uuid import UUID

from fastapi.security import HTTPBearer
from starlette.requests import Request

from fixlify.domain.api_keys import is_key, key_hash
from fixlify.storage.api_keys import recognize_api_key
from fixlify.storage.database import Database
from starter.http.problems import ProblemError
from starter.http.rates import Rates, network_of

BEARER: Final = HTTPBearer(
    bearerFormat="fx_live_<prefix>_<secret>",
    scheme_name="ApiKey",
    description="A key of `fixlify keys create`; the organization follows from it.",
    auto_error=False,
)
"""The scheme as OpenAPI describes it; ``Gate`` does what it says."""


class Gate:
    """Lets callers with a valid key in, and slows down everybody; lives with its application."""

    def __init__(self, database: Database, rates: Rates) -> None:
        self._database = database
        self._rates = rates
        # Hashes of keys that were valid once. An address full of failures is often an office or
        # a proxy: its good keys go on working, and a guess costs us no query.
        self._good: set[str] = set()

    async def admit(self, request: Request) -> UUID:
        """Return the caller's organization.

        Raises:
            ProblemError: 401 without a valid key, 429 for too many requests.
        """
        address = network_of(request.client.host if request.client else "")
        key = _bearer(request)
        if key is None:
            self._rates.count("address", address)
            raise _unauthorized("send a key in the header: Authorization: Bearer fx_live_…")
        hashed = key_hash(key)
        if hashed not in self._good:
            self._rates.check("address", address)
        async with self._database.statement() as connection:
            organization_id = await recognize_api_key(connection, hashed)
        if organization_id is None:
            self._good.discard(hashed)
            self._rates.count("address", address)
            raise _unauthorized("nobody has this key, or it was revoked")
        self._good.add(hashed)
        self._rates.count("key", hashed)
        return organization_id

    def admit_anybody(self, request: Request) -> None:
        """Count a request that needs no key.

        Raises:
            ProblemError: 429 for too many requests of one address.
        """
        # Apart from failures: whoever guesses keys from behind a proxy must not make it believe
        # that the service is down, nor may its own questions keep a good key out.
        self._rates.count("anybody", network_of(request.client.host if request.client else ""))


def _bearer(request: Request) -> str | None:
    """Return the key of a request, None where it has none that could be valid."""
    headers = request.headers.getlist("authorization")
    scheme, _, token = headers[0].partition(" ") if len(headers) == 1 else ("", "", "")
    token = token.strip()
    return token if scheme.lower() == "bearer" and is_key(token) else None


def _unauthorized(detail: str) -> ProblemError:
    return ProblemError(
        HTTPStatus.UNAUTHORIZED, detail, headers={"WWW-Authenticate": 'Bearer realm="fixlify"'}
    )
