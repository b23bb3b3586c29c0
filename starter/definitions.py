"""Accept automations: validate them to the last variable, pin their templates, store them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.automation import (
    AutomationDefinition,
    AutomationStatus,
    PausedRuns,
    PinnedDefinition,
    StoredAutomation,
    TemplateSource,
    parse_definition,
)
from fixlify.domain.errors import DefinitionError, NotFoundError, Problem
from fixlify.domain.names import did_you_mean, nearest
from fixlify.domain.rules import Rules, contradiction, effective_rules
from fixlify.domain.steps import SendEmail, SendSms, placed_steps
from fixlify.rendering import Channel, check_template, shipped_templates
from fixlify.storage.automations import (
    Applied,
    automation_names,
    find_automation,
    lock_automations,
    set_status,
    store_automation,
)
from fixlify.storage.database import Database
from fixlify.storage.rules import load_rules
from starter.action_checks import action_problems
from starter.company_templates import template_sources


def validate_definition(
    source: str, data: Any, templates: Mapping[str, TemplateSource] | None = None
) -> PinnedDefinition:
    """Return the automation that *data* describes, with the text of its templates.

    Args:
        source: What to call it in errors: the file's name.
        data: Parsed YAML or JSON.
        templates: What it may name: a company's templates; the shipped ones unless given.

    Raises:
        DefinitionError: With every problem: unknown keys, types, fields, templates, variables.
    """
    known = shipped_templates() if templates is None else templates
    return _pinned(source, parse_definition(source, data), known)


def _pinned(
    source: str, definition: AutomationDefinition, templates: Mapping[str, TemplateSource]
) -> PinnedDefinition:
    problems = [problem for _, problem in template_problems(definition, templates)]
    problems += action_problems(definition)
    if problems:
        raise DefinitionError(source, problems)
    return PinnedDefinition(
        definition=definition,
        templates={name: templates[name] for name in definition.template_names},
    )


def template_problems(
    definition: AutomationDefinition, templates: Mapping[str, TemplateSource]
) -> Iterator[tuple[str | None, Problem]]:
    """Yield what keeps a message from being sent, with the template it is about, if any."""
    for path, step in placed_steps(definition.steps):
        if isinstance(step, SendEmail | SendSms):
            for problem in _step_problems(path, step, definition, templates):
                yield step.template, problem


async def apply_definitions(
    database: Database, organization_id: UUID, pinned: Sequence[PinnedDefinition]
) -> list[Applied]:
    """Store all of *pinned* or, if anything fails, none; *database* acts as the app role.

    What is pinned are the organization's templates as they stand now.

    Raises:
        DefinitionError: What one says about hours contradicts the organization's rules, or a
            template of the organization's own does not do what it needs.
        RulesUnreadableError: It says something, and nobody knows whether it does.
    """
    async with database.organization(organization_id) as connection:
        # Nobody imports a template between its reading and the writing of who uses it.
        await lock_automations(connection, organization_id)
        if any(each.definition.template_names for each in pinned):
            sources = await template_sources(connection, organization_id)
            pinned = [_pinned(each.definition.name, each.definition, sources) for each in pinned]
        if any(each.definition.rules is not None for each in pinned):
            _refuse_contradictions(await load_rules(connection, organization_id), pinned)
        return [await store_automation(connection, organization_id, each) for each in pinned]


def _refuse_contradictions(rules: Rules, pinned: Sequence[PinnedDefinition]) -> None:
    for definition in (each.definition for each in pinned):
        if (problem := contradiction(effective_rules(rules, definition.rules))) is not None:
            raise DefinitionError(definition.name, [Problem("rules", problem)])


async def change_status(
    database: Database,
    organization_id: UUID,
    name_or_id: str,
    status: AutomationStatus,
    paused_runs: PausedRuns = PausedRuns.HOLD,
) -> StoredAutomation:
    """Set an automation's status and return it as it is now.

    ``paused_runs`` says what becomes of the runs under way while it is paused.

    Raises:
        NotFoundError: With the nearest name.
        DefinitionError: It has no steps and cannot be active.
    """
    async with database.organization(organization_id) as connection:
        automation = await existing_automation(connection, name_or_id)
        if status is AutomationStatus.ACTIVE and not automation.definition.steps:
            raise DefinitionError(
                automation.definition.name,
                [Problem("steps", "an automation cannot be active without steps; apply some")],
            )
        await set_status(connection, automation.id, status, paused_runs)
        return automation.model_copy(update={"status": status, "paused_runs": paused_runs})


async def existing_automation(connection: AsyncConnection, name_or_id: str) -> StoredAutomation:
    """Return the automation with this name or id.

    Raises:
        NotFoundError: With the nearest name.
        DefinitionError: Its row was edited by hand into something invalid.
    """
    automation = await find_automation(connection, name_or_id)
    if automation is None:
        raise no_such_automation(name_or_id, await automation_names(connection))
    return automation


def no_such_automation(name: str, names: Sequence[str]) -> NotFoundError:
    """Return the error for a name that no automation of the organization has."""
    hint = did_you_mean(name, names) if names else "there are none yet; apply one"
    return NotFoundError(f"no automation '{name}'; {hint}", nearest(name, names))


def _step_problems(
    path: str,
    step: SendEmail | SendSms,
    definition: AutomationDefinition,
    templates: Mapping[str, TemplateSource],
) -> list[Problem]:
    if step.template is not None and step.template not in templates:
        hint = did_you_mean(step.template, templates)
        return [Problem(f"{path}.template", f"unknown template '{step.template}'; {hint}")]
    source = PinnedDefinition(definition=definition, templates=templates).source_of(step)
    channel: Channel = "email" if isinstance(step, SendEmail) else "sms"
    problems = check_template(source, channel=channel)
    for locale, translation in source.translations.items():
        problems += [
            Problem(f"{locale} {problem.path}", problem.message)
            for problem in check_template(translation, channel=channel)
        ]
    if step.template is not None:
        path += f".template ({step.template})"
    elif isinstance(step, SendSms):
        # A template has a part for each channel; in a step it is the text.
        problems = [Problem(each.path.replace("sms", "text", 1), each.message) for each in problems]
    return [Problem(f"{path}.{problem.path}", problem.message) for problem in problems]
