"""The page on schedules names every one that is declared, with each setting and its reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fixlify.domain.durations import format_duration
from fixlify.domain.sweeps import SweepKind
from starter.schedules import DECLARATIONS, Declaration

PAGE = (Path(__file__).parents[2] / "docs" / "schedules.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### (\S+)\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL))


def test_every_kind_of_sweep_is_declared_and_described_and_no_other() -> None:
    assert list(DECLARATIONS) == list(SECTIONS) == list(SweepKind)


@pytest.mark.parametrize("declaration", DECLARATIONS.values(), ids=lambda each: each.kind)
def test_the_page_gives_the_purpose_and_the_reasons(declaration: Declaration) -> None:
    section = SECTIONS[declaration.kind]
    assert declaration.purpose in section
    assert set(declaration.why) == {"timetable", "catch_up", "overlap", "jitter"}
    for setting, reason in declaration.why.items():
        assert re.search(rf"^- \*\*{setting}\*\*: .*{re.escape(reason)}$", section, re.MULTILINE)


@pytest.mark.parametrize("declaration", DECLARATIONS.values(), ids=lambda each: each.kind)
def test_the_page_gives_the_settings_themselves(declaration: Declaration) -> None:
    section = SECTIONS[declaration.kind]
    if declaration.catch_up is not None:
        assert f"**catch_up**: {format_duration(declaration.catch_up)}. " in section
    assert f"**overlap**: {declaration.overlap.name.lower()}. " in section
    jitter = format_duration(declaration.jitter) if declaration.jitter else "none"
    assert f"**jitter**: {jitter}. " in section
    assert ("one per time zone" in section) is declaration.per_zone
