"""The page of templates names each that ships, where it leads and what sends it."""

from __future__ import annotations

import re
from pathlib import Path

from fixlify.domain.automation import AutomationDefinition, parse_definition
from fixlify.domain.rules import MessageClass
from fixlify.domain.steps import SendEmail, SendSms, every_step
from fixlify.library import shipped_automations
from fixlify.rendering.compiling import compile_part
from fixlify.rendering.grammar import Part
from fixlify.rendering.shipped import shipped_templates

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "templates.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([a-z-]+)` \| (.+?) \| ?(.*?) ?\| (.+?) \|$", re.MULTILINE)

ROWS = {name: cells for name, *cells in ROW.findall(PAGE.partition("## The shipped templates")[2])}
AUTOMATIONS = {name: parse_definition(name, data) for name, data in shipped_automations().items()}


def words(cell: str) -> set[str]:
    return set(re.findall(r"`([a-z-]+)`", cell))


def sent_by(definition: AutomationDefinition) -> dict[str, MessageClass]:
    """Return the templates that an automation sends, and as what."""
    return {
        step.template: step.message_class or definition.message_class
        for step in every_step(definition.steps)
        if isinstance(step, SendEmail | SendSms) and step.template
    }


def test_each_shipped_template_is_there_and_no_other() -> None:
    assert set(ROWS) == set(shipped_templates())


def test_each_names_the_links_it_shows() -> None:
    for name, (_, links, _) in ROWS.items():
        fields = compile_part(Part.HTML, shipped_templates()[name].html or "").fields.values()
        shown = {field.removeprefix("links.") for field in fields if field.startswith("links.")}
        assert words(links) == shown, name


def test_each_names_the_automations_that_send_it_and_as_what() -> None:
    for name, (says, _, automations) in ROWS.items():
        classes = {
            automation: sent[name]
            for automation, definition in AUTOMATIONS.items()
            if name in (sent := sent_by(definition))
        }
        assert words(automations) == set(classes), name
        is_marketing = set(classes.values()) == {MessageClass.MARKETING}
        assert ("*marketing*" in says) == is_marketing, name


def test_the_readme_counts_the_shipped_automations() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(AUTOMATIONS) == 17
    assert "shows seventeen automations" in readme
