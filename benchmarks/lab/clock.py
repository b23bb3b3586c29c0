"""One clock for what this process saw and what the database wrote."""

from __future__ import annotations

from time import monotonic, time


def monotonic_of(wall: float) -> float:
    """Return the moment of ``time.monotonic`` at *wall*, in seconds since 1970.

    Everything runs on one machine, so ``clock_timestamp()`` of Postgres is our own wall clock.
    """
    return wall - time() + monotonic()
