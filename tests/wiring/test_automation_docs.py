"""The reference of automations names what there is, and its examples are valid."""

from __future__ import annotations

import re
from datetime import time, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest

from fixlify.domain.automation import (
    START_WITHIN,
    AutomationDefinition,
    AutomationStatus,
    parse_definition,
)
from fixlify.domain.conditions import Operator
from fixlify.domain.facts import fact_names
from fixlify.domain.moments import GRACE, MORNING
from fixlify.domain.rules import parse_rules
from fixlify.domain.steps import Step, StepBase, every_step
from fixlify.domain.steps.numbering import DEEPEST, MOST_STEPS
from fixlify.domain.triggers import Trigger
from fixlify.library.reading import read_yaml
from fixlify.rendering.filters import FILTERS
from fixlify.rendering.shipped import shipped_templates
from starter.definitions import validate_definition

ROOT = Path(__file__).parents[2]
REFERENCE = (ROOT / "docs" / "automations.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", REFERENCE, re.MULTILINE | re.DOTALL))


def first_column(section: str) -> set[str]:
    """Return the words in code of a section's table, its first column alone."""
    cells = re.findall(r"^\| (`.*?) \|", SECTIONS[section], re.MULTILINE)
    return {word for cell in cells for word in re.findall(r"`(\w+)", cell)}


def types_of(union: object) -> set[str]:
    """Return the ``type`` of each model of a discriminated union."""
    models = get_args(get_args(union)[0])
    return {model.model_fields["type"].default for model in models}


def test_each_trigger_and_step_is_there_and_no_other() -> None:
    assert first_column("Triggers") == types_of(Trigger)
    assert first_column("Steps") == types_of(Step)


def test_each_operator_is_there_and_no_other() -> None:
    assert first_column("Conditions") == set(Operator)


def test_each_filter_is_there_and_no_other() -> None:
    assert first_column("Templates") == set(FILTERS)


def test_each_field_is_there_and_no_other() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", SECTIONS["Fields"], re.MULTILINE)
    named = {f"{part}.{name}" for part, names in rows for name in re.findall(r"`(\w+)`", names)}
    assert named == fact_names()


def test_each_shipped_template_is_there_and_no_other() -> None:
    sentence = SECTIONS["Templates"].partition(".")[0]
    assert set(re.findall(r"`([a-z-]+)`", sentence)) == {"template", *shipped_templates()}


def test_each_status_an_automation_may_have_is_there() -> None:
    line = next(line for line in REFERENCE.splitlines() if line.startswith("status:"))
    assert set(re.findall(r"\w+", line.partition("optional:")[2])) - {"or"} == set(AutomationStatus)


RULES = "# rules.yaml"
"""How an example begins that is the rules of an organization."""


def examples(page: str) -> list[dict[str, Any]]:
    """Return the YAML on a page, each an automation; steps alone are made one."""
    return [_whole(each, page) for each in _written(page) if not each.startswith(RULES)]


def _written(page: str) -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)


def _whole(example: str, page: str) -> dict[str, Any]:
    if not example.startswith("- "):
        (data,) = read_yaml(example, page)
        return data
    (data,) = read_yaml(f"name: Steps\ntrigger: {{type: custom, name: x}}\nsteps:\n{example}", page)
    return data


@pytest.mark.parametrize(
    ("page", "place"),
    [
        (page, place)
        for page in ("README.md", "docs/automations.md")
        for place in range(len(examples(page)))
    ],
)
def test_an_example_can_be_applied_as_it_stands(page: str, place: int) -> None:
    assert validate_definition(page, examples(page)[place]).definition.steps


def test_the_rules_of_the_readme_can_be_applied_as_they_stand() -> None:
    (rules,) = [each for each in _written("README.md") if each.startswith(RULES)]
    (data,) = read_yaml(rules, "README.md")
    assert parse_rules("README.md", data).quiet_hours


def test_each_step_has_an_example_and_a_row_with_its_keys() -> None:
    shown = {
        step.type
        for data in examples("docs/automations.md")
        for step in every_step(parse_definition("docs", data).steps)
    }
    assert shown == types_of(Step)
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", SECTIONS["Steps"], re.MULTILINE))
    shared = {*StepBase.model_fields, "type"}
    for model in get_args(get_args(Step)[0]):
        keys = {
            field.alias or name for name, field in model.model_fields.items() if name not in shared
        }
        type_ = model.model_fields["type"].default
        assert set(re.findall(r"`(\w+)`", rows.get(type_, ""))) == keys, type_


def test_each_key_of_an_automation_is_in_the_first_example_and_each_of_a_step_is_explained() -> (
    None
):
    first, *_ = examples("docs/automations.md")
    assert set(first) == set(AutomationDefinition.model_fields)
    explained = re.findall(r"^- `(\w+)", SECTIONS["Steps"], re.MULTILINE)
    assert set(explained) == set(StepBase.model_fields)


def test_what_the_reference_says_of_limits_is_so() -> None:
    assert (MOST_STEPS, DEEPEST) == (200, 8)
    assert timedelta(minutes=5) == GRACE
    assert timedelta(days=3) == START_WITHIN
    assert time(9) == MORNING


@pytest.mark.parametrize(
    "page",
    sorted(
        str(path.relative_to(ROOT))
        for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/*/*.md")]
    ),
)
def test_a_link_of_a_page_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = (ROOT / page).parent / name if name else ROOT / page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {_anchor(heading) for heading in headings}, target


def _anchor(heading: str) -> str:
    """Return the fragment that a heading gets on the web, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
