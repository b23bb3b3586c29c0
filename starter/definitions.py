"""Accept automations: validate them to the last variable, pin their templates, store them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from fixlify.rendering import check_template, shipped_templates
from fixlify.storage.automations import (
    Applied,
    automation_names,
    find_automation,
    set_status,
    store_automation,
)
from fixlify.storage.database import Database
from fixlify.storage.rules import load_rules
from starter.action_checks import action_problems


def validate_definition(source: str, data: Any) -> PinnedDefinition:
    """Return the automation that *data* describes, with the text of its templates.

    Args:
        source: What to call it in errors: the file's name.
        data: Parsed YAML or JSON.

    Raises:
        DefinitionError: With every problem: unknown keys, types, fields, templates, variables.
    """
    definition = parse_definition(source, data)
    templates = shipped_templates()
    problems = [
        problem
        for path, step in placed_steps(definition.steps)
        if isinstance(step, SendEmail | SendSms)
        for problem in _template_problems(path, step, definition, templates)
    ]
    problems += action_problems(definition)
    if problems:
        raise DefinitionError(source, problems)
    return PinnedDefinition(
        definition=definition,
        templates={name: templates[name] for name in definition.template_names},
    )


async def apply_definitions(
    database: Database, organization_id: UUID, pinned: Sequence[PinnedDefinition]
) -> list[Applied]:
    """Store all of *pinned* or, if anything fails, none; *database* acts as the app role.

    Raises:
        DefinitionError: What one says about hours contradicts the organization's rules.
        RulesUnreadableError: It says something, and nobody knows whether it does.
    """
    async with database.organization(organization_id) as connection:
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


def _template_problems(
    path: str,
    step: SendEmail | SendSms,
    definition: AutomationDefinition,
    templates: Mapping[str, TemplateSource],
) -> list[Problem]:
    if step.template is not None and step.template not in templates:
        hint = did_you_mean(step.template, templates)
        return [Problem(f"{path}.template", f"unknown template '{step.template}'; {hint}")]
    source = PinnedDefinition(definition=definition, templates=templates).source_of(step)
    problems = check_template(source, channel="email" if isinstance(step, SendEmail) else "sms")
    if step.template is not None:
        path += f".template ({step.template})"
    elif isinstance(step, SendSms):
        # A template has a part for each channel; in a step it is the text.
        problems = [Problem(each.path.replace("sms", "text", 1), each.message) for each in problems]
    return [Problem(f"{path}.{problem.path}", problem.message) for problem in problems]
