"""What goes wrong in a run of chaos is planned by its seed, and is enough of everything."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest

from benchmarks.chaos.plan import (
    DEPLOYMENT,
    LEAD,
    STRUCK_AGAIN_AT_MOST,
    TAIL,
    TARGETS,
    plan_faults,
)

TWO_MINUTES = timedelta(minutes=2)
SEEDS = range(20)


def test_the_same_seed_plans_the_same() -> None:
    assert plan_faults(7, TWO_MINUTES) == plan_faults(7, TWO_MINUTES)


def test_another_seed_plans_otherwise() -> None:
    assert plan_faults(7, TWO_MINUTES) != plan_faults(8, TWO_MINUTES)


@pytest.mark.parametrize("seed", SEEDS)
def test_two_minutes_see_every_kind_of_fault_and_a_deployment(seed: int) -> None:
    faults = plan_faults(seed, TWO_MINUTES)

    assert {fault.kind for fault in faults} == {*TARGETS, DEPLOYMENT}
    assert len(faults) >= 30


@pytest.mark.parametrize("seed", SEEDS)
def test_some_strike_again_while_what_they_struck_recovers(seed: int) -> None:
    """A database that restarted during recovery has left workflows pending for ever."""
    faults = plan_faults(seed, TWO_MINUTES)
    again = [fault for fault in faults if fault.again]

    assert again
    for fault in again:
        assert any(
            earlier.kind.startswith("kill ")
            and timedelta(0)
            <= timedelta(seconds=fault.at - earlier.at - earlier.lasting)
            <= STRUCK_AGAIN_AT_MOST
            for earlier in faults
        ), fault


@pytest.mark.parametrize("seed", SEEDS)
def test_they_come_in_the_order_of_time_and_all_through_the_run(seed: int) -> None:
    faults = plan_faults(seed, TWO_MINUTES)
    moments = [timedelta(seconds=fault.at) for fault in faults]

    assert moments == sorted(moments)
    assert moments[0] >= LEAD
    assert moments[-1] <= TWO_MINUTES
    pauses = [after - before for before, after in pairwise(moments)]
    assert max(pauses) <= timedelta(seconds=5)
    assert TWO_MINUTES - moments[-1] <= TAIL + timedelta(seconds=5)


def test_an_hour_goes_on_as_it_began() -> None:
    """Of each kind as many as there are rounds, and still one deployment."""
    faults = plan_faults(7, timedelta(hours=1))
    planned = [fault for fault in faults if not fault.again]
    times = {kind: sum(fault.kind == kind for fault in planned) for kind in TARGETS}

    assert min(times.values()) >= 50
    assert max(times.values()) - min(times.values()) <= 1
    assert sum(fault.kind == DEPLOYMENT for fault in faults) == 1


def test_a_fault_says_what_it_strikes_and_for_how_long() -> None:
    told = {fault.kind: str(fault) for fault in plan_faults(7, TWO_MINUTES)}

    assert told["stall postgres"].startswith("postgres, for ")
    assert " of them" in told["lost answer"]
