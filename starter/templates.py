"""Import a company's own templates, and let the automations that use them have the new texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.automation import (
    AutomationStatus,
    PinnedDefinition,
    StoredAutomation,
    TemplateSource,
)
from fixlify.domain.errors import DefinitionError, Problem
from fixlify.storage.automations import (
    Applied,
    list_automations,
    load_pinned,
    lock_automations,
    store_automation,
)
from fixlify.storage.templates import StoredTemplate, company_locale, store_template
from starter.company_templates import company_templates, template_sources
from starter.definitions import template_problems


@dataclass(frozen=True, slots=True)
class IncomingTemplate:
    """A template on its way in: its texts by locale.

    The locale None stands for the template's own language. ``origin`` is the file or folder it
    was read from, for messages.
    """

    name: str
    origin: str
    sources: Mapping[str | None, TemplateSource]


@dataclass(frozen=True, slots=True)
class ImportedTemplate:
    """What became of one template: new, updated or unchanged.

    ``locales`` are those that were stored. ``replaces_shipped`` says that the name stood for a
    shipped template until now.
    """

    name: str
    change: str
    version: int
    locales: tuple[str, ...]
    replaces_shipped: bool


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did to templates, and to the automations that use them."""

    templates: list[ImportedTemplate] = field(default_factory=list)
    automations: list[Applied] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


async def import_templates(
    connection: AsyncConnection,
    organization_id: UUID,
    incoming: Sequence[IncomingTemplate],
    locale: str | None = None,
) -> Imported:
    """Store *incoming* as the organization's own, and let its automations use the new texts.

    Every automation that is not archived and uses a template that changed gets a new version;
    runs under way keep the one they began with. What is stored already changes nothing. All of
    it is one transaction: the caller's.

    Args:
        connection: In a transaction of the organization.
        organization_id: Whose.
        incoming: Templates without problems of their own, each name once.
        locale: The language of what names none; unless given, the template's own so far, or
            the company's.

    Raises:
        DefinitionError: An automation needs what a new text lacks. Nothing may be committed.
    """
    await lock_automations(connection, organization_id)
    company = await company_locale(connection, organization_id)
    before = await company_templates(connection, organization_id)
    done = Imported()
    for each in incoming:
        known = before.get(each.name)
        own = known if known is not None and known.own else None
        default = locale or (own.default_locale if own else company.replace("-", "_"))
        sources = _by_locale(each, default)
        if own is None and default not in sources:
            raise _refused(
                each,
                f"has no text in {default}, the company's own language; add one beside the "
                "folders, or say with --locale which of its languages is its own",
            )
        stored = {row.locale: row for row in own.own} if own else {}
        new = {
            name: source
            for name, source in sources.items()
            if _differs(stored.get(name), source, is_default=name == default)
        }
        version = (own and own.version) or 0
        if new:
            version += 1
            await store_template(connection, organization_id, each.name, version, new, default)
        change = "unchanged" if not new else "updated" if own else "created"
        replaces = own is None and known is not None
        done.templates.append(
            ImportedTemplate(each.name, change, version, tuple(sorted(new)), replaces)
        )
    changed = {each.name for each in done.templates if each.change != "unchanged"}
    if changed:
        after = await template_sources(connection, organization_id)
        origins = {each.name: each.origin for each in incoming}
        await _repin(connection, organization_id, changed, after, origins, done)
    return done


async def _repin(
    connection: AsyncConnection,
    organization_id: UUID,
    changed: set[str],
    sources: Mapping[str, TemplateSource],
    origins: Mapping[str, str],
    done: Imported,
) -> None:
    found = await list_automations(connection)
    done.unreadable.extend(error.source for error in found.unreadable)
    for automation in found.automations:
        names = automation.definition.template_names
        if automation.status is AutomationStatus.ARCHIVED or changed.isdisjoint(names):
            continue
        try:
            was = (await load_pinned(connection, automation.id, automation.version)).templates
        except ValueError:
            was = {}
        # Texts that were not imported stay as they were pinned, also after a rollback.
        texts = {
            name: was[name] if name in was and name not in changed else sources[name]
            for name in names
            if name in was or name in sources
        }
        _refuse_unfit(automation, texts, changed, origins)
        definition = automation.definition.model_copy(update={"status": None})
        pinned = PinnedDefinition(definition=definition, templates=texts)
        applied = await store_automation(connection, organization_id, pinned)
        if applied.change != "unchanged":
            done.automations.append(applied)


def _refuse_unfit(
    automation: StoredAutomation,
    texts: Mapping[str, TemplateSource],
    changed: set[str],
    origins: Mapping[str, str],
) -> None:
    unfit = [
        problem
        for name, problem in template_problems(automation.definition, texts)
        if name in changed
    ]
    if unfit:
        names = ", ".join(
            origins[name] for name in automation.definition.template_names if name in origins
        )
        raise DefinitionError(
            names, [Problem(f"'{automation.definition.name}'", str(each)) for each in unfit]
        )


def _by_locale(each: IncomingTemplate, default: str) -> dict[str, TemplateSource]:
    if None in each.sources and default in each.sources:
        raise _refused(each, f"has two texts in {default}: its own, and those of that folder")
    return {locale or default: source for locale, source in each.sources.items()}


def _differs(stored: StoredTemplate | None, source: TemplateSource, *, is_default: bool) -> bool:
    return stored is None or stored.source != source or (is_default and not stored.is_default)


def _refused(each: IncomingTemplate, why: str) -> DefinitionError:
    return DefinitionError(each.origin, [Problem("", why)])
