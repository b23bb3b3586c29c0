"""Automations: the definition a user writes, and the one model every way in validates it with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from fixlify.domain.conditions import Condition
from fixlify.domain.durations import Duration
from fixlify.domain.errors import DefinitionError, Problem
from fixlify.domain.models import Frozen
from fixlify.domain.problems import explain
from fixlify.domain.relatives import can_hear, heard_by, subject_of
from fixlify.domain.rules import MessageClass, RuleOverrides
from fixlify.domain.steps import (
    SendEmail,
    SendSms,
    Step,
    Wait,
    WaitForEvent,
    WaitUntil,
    every_step,
    placed_steps,
)
from fixlify.domain.steps.messages import BY_EMAIL
from fixlify.domain.steps.numbering import number_steps
from fixlify.domain.steps.reach import is_certain, refuse_unreachable
from fixlify.domain.triggers import Trigger

# A relay that was away over a weekend still says what is worth saying; last week's is spam.
START_WITHIN = timedelta(days=3)

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class AutomationStatus(StrEnum):
    """Whether an automation listens."""

    DRAFT = "draft"
    ACTIVE = "active"
    PAUSED = "paused"
    ARCHIVED = "archived"


class PausedRuns(StrEnum):
    """What becomes of the runs under way while their automation is paused.

    ``finish``: they go on. ``hold``: they wait where they are about to act. ``cancel``: they end.
    """

    FINISH = "finish"
    HOLD = "hold"
    CANCEL = "cancel"


class Reentry(StrEnum):
    """What becomes of a run under way when the same sets its automation off again."""

    REPLACE = "replace"
    ALLOW = "allow"


def _one_line(name: str) -> str:
    if not name.strip() or name.splitlines() != [name]:
        raise PydanticCustomError("name", "a name is one line of visible text")
    return name


class AutomationDefinition(Frozen):
    """One automation as it is written in YAML, sent to the API or built in the console.

    ``status`` is None where the file is silent: a new automation then becomes active, and
    an existing one keeps the status it has. A run ends as soon as ``exit_when`` holds. What
    happened longer than ``start_within`` ago sets nothing off any more. A run that waits ends
    when the automation is set off by the same subject again, unless ``reentry`` allows both.
    """

    name: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_one_line)]
    description: str | None = None
    status: AutomationStatus | None = None
    trigger: Trigger
    conditions: Condition | None = None
    exit_when: Condition | None = None
    message_class: MessageClass = MessageClass.TRANSACTIONAL
    rules: RuleOverrides | None = None
    start_within: Duration = START_WITHIN
    reentry: Reentry = Reentry.REPLACE
    steps: tuple[Step, ...] = ()

    @field_validator("exit_when")
    @classmethod
    def _exit_asks_something(cls, exit_when: Condition | None) -> Condition | None:
        if exit_when is not None and is_certain(exit_when):
            raise PydanticCustomError(
                "exit_when", "it is decided whatever the facts are; ask for something, or remove it"
            )
        return exit_when

    @field_validator("steps", mode="before")
    @classmethod
    def _number_the_steps(cls, steps: Any) -> Any:
        """Give every step without an id its type and place, as in ``send_sms-2``."""
        return number_steps(steps) if isinstance(steps, list) else steps

    @field_validator("steps")
    @classmethod
    def _steps_are_distinct(cls, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        seen: set[str] = set()
        for place, step in placed_steps(steps, ""):
            if step.id in seen:
                raise PydanticCustomError(
                    "duplicate_step",
                    "two steps have the id '{id}'; give each its own",
                    {"id": step.id, "place": place},
                )
            seen.add(str(step.id))
        refuse_unreachable(steps)
        return steps

    @model_validator(mode="after")
    def _can_begin_and_go_on(self) -> AutomationDefinition:
        if self.exit_when is not None and self.exit_when == self.conditions:
            raise PydanticCustomError(
                "exit_when",
                "'exit_when' is the same as 'conditions', so every run would end as it begins; "
                "ask for something that comes later",
            )
        return self

    @model_validator(mode="after")
    def _waits_for_what_it_can_hear(self) -> AutomationDefinition:
        about = subject_of(self.trigger)
        for place, step in placed_steps(self.steps):
            if about is None or not isinstance(step, WaitForEvent):
                continue
            happens_to = subject_of(step.event)
            if happens_to is not None and not can_hear(about, happens_to):
                raise PydanticCustomError(
                    "never_heard",
                    "'{event}' happens to a record of the kind {subject}, and a run set off by "
                    "'{trigger}' never hears of those: only of {heard}",
                    {
                        "event": step.event.type,
                        "subject": happens_to.value,
                        "trigger": self.trigger.type,
                        "heard": ", ".join(heard_by(about)),
                        "place": f"{place}.event",
                    },
                )
        return self

    @model_validator(mode="after")
    def _active_means_doing_something(self) -> AutomationDefinition:
        if self.status is AutomationStatus.ACTIVE and not self.steps:
            raise PydanticCustomError(
                "no_steps", "an automation cannot be active without steps; add one to 'steps'"
            )
        return self

    def step(self, step_id: str) -> Step:
        """Return the step with *step_id*, or the email that goes in its place.

        A KeyError means the caller mixed up versions.
        """
        for step in every_step(self.steps):
            if step.id == step_id:
                return step
            if isinstance(step, SendSms) and f"{step.id}{BY_EMAIL}" == step_id:
                return step.email_instead
        raise KeyError(step_id)

    @property
    def template_names(self) -> tuple[str, ...]:
        """The templates the steps name, each once, in their order."""
        names = [
            step.template
            for step in every_step(self.steps)
            if isinstance(step, SendEmail | SendSms) and step.template
        ]
        return tuple(dict.fromkeys(names))

    @property
    def listens(self) -> bool:
        """Whether its runs ever wait, and so are told what happens to their subject meanwhile."""
        return self.exit_when is not None or any(
            isinstance(step, Wait | WaitUntil | WaitForEvent) for step in every_step(self.steps)
        )


class TemplateSource(Frozen):
    """The unrendered parts of one message; what a channel does not use is None.

    ``translations`` are the same in other languages, by locale (``es``, ``es_MX``); they have
    none of their own. ``locale`` is the language of the text itself, None where nobody said.
    """

    subject: str | None = None
    text: str | None = None
    html: str | None = None
    sms: str | None = None
    translations: Mapping[str, TemplateSource] = Field(default_factory=dict)
    locale: str | None = None

    def in_language_of(self, locale: str) -> TemplateSource:
        """Return the source for *locale*: its own, else its language's, else this one.

        A translation that lacks a part does not mix languages: it is used as it is, and says
        so where the part is needed.
        """
        wanted = locale.replace("-", "_")
        for name in (wanted, wanted.partition("_")[0]):
            if name in self.translations:
                return self.translations[name]
        return self


class PinnedDefinition(Frozen):
    """What one version of an automation runs: its definition, and its templates' text.

    The text is kept with the version, so that an edited template never leaks into runs
    that are already waiting.
    """

    definition: AutomationDefinition
    templates: Mapping[str, TemplateSource] = Field(default_factory=dict)

    def source_of(self, step: SendEmail | SendSms) -> TemplateSource:
        """Return what *step* sends, unrendered."""
        if step.template is not None:
            return self.templates[step.template]
        if isinstance(step, SendSms):
            return TemplateSource(sms=step.text)
        return TemplateSource(subject=step.subject, text=step.text, html=step.html)


class StoredAutomation(Frozen):
    """One row of ``automation_workflows`` with its current version.

    ``paused_runs`` counts while it is paused. ``updated_at`` is None where the row has just been
    written and not read back.
    """

    id: UUID
    organization_id: UUID
    status: AutomationStatus
    version: int
    definition: AutomationDefinition
    paused_runs: PausedRuns = PausedRuns.HOLD
    updated_at: datetime | None = None


def parse_definition(source: str, data: Any) -> AutomationDefinition:
    """Return the automation that *data* (parsed YAML or JSON) describes.

    Raises:
        DefinitionError: With every problem in it, each with its path and what to do.
    """
    if not isinstance(data, dict):
        raise DefinitionError(
            source, [Problem("", "an automation is a mapping with name, trigger and steps")]
        )
    if problems := list(_unstorable(data)):
        raise DefinitionError(source, problems)
    try:
        return AutomationDefinition.model_validate(data)
    except ValidationError as error:
        raise DefinitionError(source, explain(AutomationDefinition, error)) from error


def _unstorable(data: Any) -> Iterator[Problem]:
    """Yield where *data* holds a character that Postgres cannot store: NUL, half a pair."""
    waiting: list[tuple[str, Any]] = [("", data)]
    seen: set[int] = set()
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict | list):
            # YAML lets a list contain itself.
            if id(value) in seen:
                continue
            seen.add(id(value))
        if isinstance(value, dict):
            waiting += [(f"{path}.{key}" if path else str(key), value[key]) for key in value]
        elif isinstance(value, list):
            waiting += [(f"{path}[{place}]", item) for place, item in enumerate(value)]
        elif isinstance(value, str) and _UNSTORABLE.search(value):
            yield Problem(path, "holds a character that cannot be stored; remove it")
