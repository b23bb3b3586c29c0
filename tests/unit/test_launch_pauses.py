"""Room is looked for as often as there is some."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fixlify.storage.launching import BOUNDS
from starter.launches import AT_LAST, LAUNCH_BATCH, SOON, next_pause

MANY = min(LAUNCH_BATCH, BOUNDS.per_organization)


def test_where_nothing_begins_the_pause_grows_to_that_of_the_poll() -> None:
    pauses = [SOON]
    for _ in range(10):
        pauses.append(next_pause(pauses[-1], 0, MANY))
    assert pauses == sorted(pauses)
    assert pauses[-1] == AT_LAST


@pytest.mark.parametrize("per_second", [5, 25, 100, 400])
def test_at_any_steady_rate_the_workers_never_run_out(per_second: int) -> None:
    """What begins during a pause stays below what one organization may have in flight."""
    pause = SOON
    for _ in range(50):
        begun = int(per_second * pause.total_seconds())
        assert begun < BOUNDS.per_organization
        pause = next_pause(pause, min(begun, MANY), MANY)


def test_a_pause_that_finds_half_a_batch_stays() -> None:
    pause = timedelta(milliseconds=200)
    assert next_pause(pause, MANY // 2, MANY) == pause
    assert next_pause(pause, MANY, MANY) == pause / 2
    assert next_pause(SOON, MANY, MANY) == SOON
