"""Render what a task says; for the company's own staff, with the variables of messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from fixlify.domain.errors import Problem, RenderError
from fixlify.domain.facts import Facts
from fixlify.domain.models import Frozen
from fixlify.rendering.compiling import DefectiveTemplateError, compile_part
from fixlify.rendering.grammar import Part
from fixlify.rendering.messages import one_line, render_part

# What a template calls the part that a task calls otherwise.
_TITLE: Final = (Part.SUBJECT, "title")
_DESCRIPTION: Final = (Part.TEXT, "description")


class RenderedTask(Frozen):
    """What a task says. ``title`` is one line; an empty description is None."""

    title: str
    description: str | None = None


def render_task(title: str, description: str | None, facts: Facts) -> RenderedTask:
    """Return what *title* and *description* make of *facts*.

    Raises:
        RenderError: One names something unknown or empty, or the title comes out empty. The
            message names the place and the variable, never a value.
    """
    rendered = one_line(_render(_TITLE, title, facts))
    if not rendered:
        raise RenderError("title: comes out empty; a task needs one")
    if description is None:
        return RenderedTask(title=rendered)
    return RenderedTask(
        title=rendered, description=_render(_DESCRIPTION, description, facts) or None
    )


def check_task(title: str, description: str | None) -> list[Problem]:
    """Return everything that would keep them from being rendered, whatever the facts are."""
    problems = list(_check(_TITLE, title))
    if description is not None:
        problems += _check(_DESCRIPTION, description)
    return problems


def _render(of: tuple[Part, str], source: str, facts: Facts) -> str:
    part, name = of
    try:
        return render_part(part, source, facts)
    except RenderError as error:
        raise RenderError(str(error).replace(part.value, name, 1)) from None


def _check(of: tuple[Part, str], source: str) -> Iterator[Problem]:
    part, name = of
    try:
        compile_part(part, source)
    except DefectiveTemplateError as error:
        for problem in error.problems:
            yield Problem(problem.path.replace(part.value, name, 1), problem.message)
