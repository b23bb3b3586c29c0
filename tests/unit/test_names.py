"""Names that people type are compared by what they mean, and the nearest valid one is offered."""

from __future__ import annotations

import pytest

from fixlify.domain.names import did_you_mean, nearest, normalized


@pytest.mark.parametrize(
    ("written", "compared"),
    [
        ("In-Progress", "in_progress"),
        ("  in \t progress\n", "in_progress"),
        ("in__--  progress", "in_progress"),
        ("in\u00a0progress", "in_progress"),
        ("", None),
        (" _- ", None),
        (None, None),
        ("1", "1"),
        ("ÄNDERUNG", "änderung"),
    ],
)
def test_statuses_are_compared_normalized(written: str | None, compared: str | None) -> None:
    assert normalized(written) == compared


def test_the_nearest_name_is_offered_and_else_all_of_them() -> None:
    assert nearest("job.titel", ["job.title", "job.total"]) == "job.title"
    assert nearest("JOB.TITLE", ["job.title"]) == "job.title"
    assert nearest("zzz", ["job.title"]) is None
    assert did_you_mean("zzz", ["b", "a"]) == "valid: a, b"
