"""Say what is wrong with the steps that act, as far as their automation alone tells."""

from __future__ import annotations

from collections.abc import Iterator

from fixlify.domain.automation import AutomationDefinition
from fixlify.domain.errors import Problem
from fixlify.domain.events import SubjectType
from fixlify.domain.steps import CreateTask, UpdateRecord, placed_steps
from fixlify.domain.steps.records import record_problems
from fixlify.domain.triggers.subjects import subject_of
from fixlify.rendering import check_task


def action_problems(definition: AutomationDefinition) -> Iterator[Problem]:
    """Yield what would keep the steps that act from acting, each with its place.

    What a custom event is about, only the event tells; its runs say so when they come to it.
    """
    subject = subject_of(definition.trigger)
    for path, step in placed_steps(definition.steps):
        if isinstance(step, UpdateRecord):
            yield from _update_problems(path, step, subject)
        elif isinstance(step, CreateTask):
            for problem in check_task(step.title, step.description):
                yield Problem(f"{path}.{problem.path}", problem.message)


def _update_problems(
    path: str, step: UpdateRecord, subject: SubjectType | None
) -> Iterator[Problem]:
    for key, sentence in record_problems(step.record, subject, step.fields):
        yield Problem(f"{path}.{key}" if key else path, sentence)
