"""Turn the text of a template into something that runs: parsed, judged, compiled, kept."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from jinja2 import Template, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from fixlify.domain.errors import Problem, RenderError
from fixlify.rendering.filters import FILTERS, HIDDEN_FILTERS, TESTS, printed
from fixlify.rendering.grammar import MOST_STEPS, Part, Reading, at
from fixlify.rendering.layout import ColorsOfBrand, UnsafeMarkupError, is_document, styled
from fixlify.rendering.variables import Empty

LONGEST_SOURCE = 100_000
"""Characters of one part's source."""

_LINE_BREAK = re.compile("\r\n?")


class DefectiveTemplateError(RenderError):
    """A template can never become a message; ``problems`` says why, each with its line."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(str(problems[0]))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class CompiledPart:
    """A part ready to run, and the fields it reads by the identifier it knows them by.

    ``belongs_on_page`` is said of an html part that is no whole document: it needs the layout.
    """

    part: Part
    template: Template
    fields: dict[str, str]
    belongs_on_page: bool = False


def _environment(*, autoescape: bool) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        autoescape=autoescape,
        undefined=Empty,
        finalize=printed,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.clear()
    environment.filters = {name: f.function for name, f in FILTERS.items()} | dict(HIDDEN_FILTERS)
    environment.tests = dict(TESTS)
    return environment


_PLAIN = _environment(autoescape=False)
_ESCAPED = _environment(autoescape=True)


@lru_cache(maxsize=2048)
def compile_part(part: Part, source: str) -> CompiledPart:
    """Return *source* ready to run; an html part with the layout's styles in its tags.

    Raises:
        DefectiveTemplateError: With everything wrong in it.
    """
    if not source.strip():
        raise _defect(part, None, "is empty; write what it is to say")
    if len(source) > LONGEST_SOURCE:
        raise _defect(part, None, f"is longer than {LONGEST_SOURCE:,} characters; shorten it")
    source = _LINE_BREAK.sub("\n", source)
    environment = _ESCAPED if part is Part.HTML else _PLAIN
    belongs_on_page = part is Part.HTML and not is_document(source)
    try:
        tree = environment.parse(styled(source) if belongs_on_page else source)
        reading = Reading(part)
        reading.visit(tree)
        if reading.problems:
            raise DefectiveTemplateError(reading.problems)
        if reading.steps > MOST_STEPS:
            raise _defect(part, None, "does too much; take something out of its loops")
        if belongs_on_page:
            tree = ColorsOfBrand().visit(tree)
        tree.set_environment(environment)
        template = environment.from_string(tree)
    except TemplateSyntaxError as error:
        message = (error.message or "is not understood").rstrip(".")
        if "{{{" in source:
            message = "write two braces, as in {{ client.name }}, not three"
        raise _defect(part, error.lineno, message) from error
    except UnsafeMarkupError as error:
        line = None if error.place is None else source.count("\n", 0, error.place) + 1
        raise _defect(part, line, str(error)) from error
    except (RecursionError, MemoryError, SyntaxError) as error:
        # From Jinja's parser, or from Python's, which compiles what Jinja writes.
        raise _defect(part, None, "is nested too deeply; make it simpler") from error
    return CompiledPart(part, template, reading.fields, belongs_on_page)


def _defect(part: Part, line: int | None, message: str) -> DefectiveTemplateError:
    return DefectiveTemplateError([Problem(at(part, line), message)])
