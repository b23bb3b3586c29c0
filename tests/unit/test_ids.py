"""Ids follow RFC 9562 and sort by when they were made."""

from __future__ import annotations

import time
from uuid import RFC_4122, UUID

import pytest

from fixlify.domain.ids import execution_of, new_id, redrives_of, workflow_id


def test_an_id_is_laid_out_as_version_7() -> None:
    before = time.time_ns() // 1_000_000
    made = [new_id() for _ in range(1_000)]
    after = time.time_ns() // 1_000_000

    assert {each.version for each in made} == {7}
    assert {each.variant for each in made} == {RFC_4122}
    assert all(before <= each.int >> 80 <= after for each in made)
    assert len(set(made)) == 1_000


def test_every_random_bit_is_used() -> None:
    """62 of them; the rest is time, version and variant."""
    ones, zeros = 0, (1 << 128) - 1
    for _ in range(200):
        value = new_id().int
        ones |= value
        zeros &= value
    random_bits = (1 << 62) - 1
    assert ones & ~zeros & random_bits == random_bits


def test_ids_of_one_moment_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fixlify.domain.ids.time.time_ns", lambda: 1_700_000_000_123_456_789)
    assert len({new_id() for _ in range(1_000)}) == 1_000


def test_the_example_of_the_rfc(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 9562, appendix A.6: 017F22E2-79B0-7CC3-98C4-DC0C0C07398F."""
    wanted = UUID("017F22E2-79B0-7CC3-98C4-DC0C0C07398F")
    # Its rand_a, read as the fraction of a millisecond that §6.2 allows it to be.
    fraction = -(-0xCC3 * 1_000_000 // 4096)
    clock = 0x017F22E279B0 * 1_000_000 + fraction
    random_bits = wanted.int & (1 << 62) - 1
    monkeypatch.setattr("fixlify.domain.ids.time.time_ns", lambda: clock)
    monkeypatch.setattr(
        "fixlify.domain.ids.os.urandom", lambda size: random_bits.to_bytes(size, "big")
    )
    assert new_id() == wanted


def test_later_ids_sort_after_earlier_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    far_apart = range(0, (1 << 48) * 1_000_000, (1 << 48) * 5_000)
    close_together = range(far_apart[-1] + 245, far_apart[-1] + 3_000_000, 245)
    for moment in (*far_apart, *close_together):
        monkeypatch.setattr("fixlify.domain.ids.time.time_ns", lambda now=moment: now)
        made.append(new_id())
    assert made == sorted(made)
    assert [str(each) for each in made] == sorted(str(each) for each in made)


EXECUTION = UUID("017F22E2-79B0-7CC3-98C4-DC0C0C07398F")


def test_an_execution_has_one_workflow_id() -> None:
    assert workflow_id(EXECUTION) == "automation/017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


def test_each_redrive_has_a_workflow_id_of_its_own() -> None:
    assert workflow_id(EXECUTION, 1) == "automation/017f22e2-79b0-7cc3-98c4-dc0c0c07398f~1"
    assert len({workflow_id(EXECUTION, redrives) for redrives in range(20)}) == 20


@pytest.mark.parametrize("redrives", [0, 1, 12])
def test_a_workflow_id_tells_its_execution_and_its_redrive(redrives: int) -> None:
    written = workflow_id(EXECUTION, redrives)
    assert (execution_of(written), redrives_of(written)) == (EXECUTION, redrives)


@pytest.mark.parametrize(
    "other", ["", "automation/", "automation/by-hand", "by-hand~1", "sweep/1", str(EXECUTION)]
)
def test_a_workflow_of_another_name_is_of_no_execution(other: str) -> None:
    assert execution_of(other) is None


@pytest.mark.parametrize(
    "other", ["", "automation/by-hand", f"automation/{EXECUTION}", "12", "a~b", "a~²"]
)
def test_a_workflow_that_is_no_redrive_counts_none(other: str) -> None:
    assert redrives_of(other) == 0
