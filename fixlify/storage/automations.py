"""Automations: storing versions, changing status, and finding those that listen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import func, insert, select, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.automation import (
    START_WITHIN,
    AutomationDefinition,
    AutomationStatus,
    PausedRuns,
    PinnedDefinition,
    StoredAutomation,
    parse_definition,
)
from fixlify.domain.conditions import Condition
from fixlify.domain.errors import DefinitionError, Problem
from fixlify.domain.ids import new_id
from fixlify.domain.triggers import Trigger
from fixlify.domain.writing import write_definition
from fixlify.storage.tables import AutomationRow, AutomationVersionRow


@dataclass(frozen=True, slots=True)
class ListeningAutomation:
    """What the relay needs of an active automation to match an event.

    ``activated_at`` is when it last became active, by the clock that stamps events.
    """

    id: UUID
    organization_id: UUID
    name: str
    version: int
    trigger: Trigger
    conditions: Condition | None
    start_within: timedelta = START_WITHIN
    activated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Listening:
    """One organization's active automations, and the names of rows nobody can read.

    A row edited by hand into something invalid must not stop its neighbours, nor other
    organizations.
    """

    automations: list[ListeningAutomation] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Applied:
    """What ``apply`` did: the automation as it is now, and created, updated or unchanged."""

    automation: StoredAutomation
    change: str


@dataclass(frozen=True, slots=True)
class StoredAutomations:
    """The automations an organization has; ``unreadable`` says what is wrong with the others.

    A row edited by hand into something invalid must not hide its neighbours.
    """

    automations: list[StoredAutomation] = field(default_factory=list)
    unreadable: list[DefinitionError] = field(default_factory=list)


# What a definition says that no column of its own asks about.
_OPTIONS = ("message_class", "rules", "start_within", "reentry")

# A row written by hand may have no version to run; xmin changes with every write of a row.
_LISTENING = text("""
    SELECT a.id, a.organization_id, a.version, a.name, a.trigger_type, a.trigger_config,
           a.conditions, a.options, a.activated_at, CAST(a.xmin AS text) AS revision,
           v.version IS NOT NULL AS has_version
    FROM automation_workflows a
    LEFT JOIN automation_workflow_versions v ON v.automation_id = a.id AND v.version = a.version
    WHERE a.status = 'active'
      AND a.organization_id = ANY(:organizations)
      AND a.trigger_type = ANY(:trigger_types)
    ORDER BY a.id
""")


class ListeningAutomations:
    """Finds active automations; remembers how each row was read until it is written again.

    Lives as long as its relay. The rows are fetched every time, so enabling, disabling and
    editing, also by hand, take effect at the next batch.
    """

    def __init__(self) -> None:
        self._parsed: dict[UUID, tuple[str, ListeningAutomation]] = {}

    async def find(
        self,
        connection: AsyncConnection,
        organizations: Iterable[UUID],
        trigger_types: Iterable[str],
    ) -> Mapping[UUID, Listening]:
        """Return the active automations with one of these triggers, per organization."""
        rows = await connection.execute(
            _LISTENING,
            {"organizations": list(organizations), "trigger_types": list(trigger_types)},
        )
        found: dict[UUID, Listening] = {}
        for row in rows.mappings():
            listening = found.setdefault(row["organization_id"], Listening())
            try:
                listening.automations.append(self._parse(row))
            except ValueError:
                listening.unreadable.append(row["name"])
        return found

    def _parse(self, row: Mapping[Any, Any]) -> ListeningAutomation:
        revision, parsed = self._parsed.get(row["id"], (None, None))
        if parsed is None or revision != row["revision"]:
            parsed = _listening(row)
            self._parsed[row["id"]] = (row["revision"], parsed)
        return parsed


def _listening(row: Mapping[Any, Any]) -> ListeningAutomation:
    if not row["has_version"]:
        raise ValueError(f"version {row['version']} was never stored")
    definition = AutomationDefinition.model_validate(
        {
            "name": row["name"],
            "trigger": _trigger(row),
            "conditions": row["conditions"],
            **_options(row),
        }
    )
    return ListeningAutomation(
        id=row["id"],
        organization_id=row["organization_id"],
        name=row["name"],
        version=row["version"],
        trigger=definition.trigger,
        conditions=definition.conditions,
        start_within=definition.start_within,
        activated_at=row["activated_at"],
    )


async def lock_automations(connection: AsyncConnection, organization_id: UUID) -> None:
    """Keep everybody else from storing automations or templates of the organization meanwhile."""
    await connection.execute(
        select(func.pg_advisory_xact_lock(func.hashtextextended(f"{organization_id}", 0)))
    )


async def store_automation(
    connection: AsyncConnection, organization_id: UUID, pinned: PinnedDefinition
) -> Applied:
    """Create the automation, or make a new version of the one with its name.

    The same definition again changes nothing. A silent file leaves an existing status as it
    is and makes a new automation active, or a draft when it has no steps.

    Raises:
        DefinitionError: It would take the last step from an active automation.
    """
    definition = pinned.definition
    # Two people applying one name at once: the second waits here and then sees the first's.
    await lock_automations(connection, organization_id)
    row = await _row(connection, AutomationRow.name == definition.name, lock=True)
    if row is None:
        return await _create(connection, organization_id, pinned)
    was, version = AutomationStatus(row["status"]), row["version"]
    status = definition.status or was
    # How its runs were to be paused is over with the pause.
    paused_runs = PausedRuns(row["paused_runs"]) if status is was else PausedRuns.HOLD
    if status is AutomationStatus.ACTIVE and not definition.steps:
        message = "the automation is active and cannot be left without steps; keep one, or say "
        raise DefinitionError(definition.name, [Problem("steps", f"{message}'status: draft'")])
    columns = _columns(definition)
    # The row is compared too, so that applying a file repairs what was edited by hand.
    stands = all(row[name] == value for name, value in columns.items()) and (
        await _stored_content(connection, row["id"], version) == _content(pinned)
    )
    if not stands:
        version += 1
        await connection.execute(
            update(AutomationRow)
            .where(AutomationRow.id == row["id"])
            .values(
                **columns,
                status=status,
                paused_runs=paused_runs,
                version=version,
                updated_at=func.now(),
            )
        )
        await _store_version(connection, organization_id, row["id"], version, pinned)
    elif status is not was:
        await set_status(connection, row["id"], status, paused_runs)
    stored = StoredAutomation(
        id=row["id"],
        organization_id=organization_id,
        status=status,
        version=version,
        definition=definition,
        paused_runs=paused_runs,
    )
    return Applied(stored, "unchanged" if stands and status is was else "updated")


async def _create(
    connection: AsyncConnection, organization_id: UUID, pinned: PinnedDefinition
) -> Applied:
    definition = pinned.definition
    fallback = AutomationStatus.ACTIVE if definition.steps else AutomationStatus.DRAFT
    status = definition.status or fallback
    automation_id = new_id()
    await connection.execute(
        insert(AutomationRow).values(
            id=automation_id,
            organization_id=organization_id,
            version=1,
            status=status,
            **_columns(definition),
        )
    )
    await _store_version(connection, organization_id, automation_id, 1, pinned)
    stored = StoredAutomation(
        id=automation_id,
        organization_id=organization_id,
        status=status,
        version=1,
        definition=definition,
    )
    return Applied(stored, "created")


async def _store_version(
    connection: AsyncConnection,
    organization_id: UUID,
    automation_id: UUID,
    version: int,
    pinned: PinnedDefinition,
) -> None:
    await connection.execute(
        insert(AutomationVersionRow).values(
            automation_id=automation_id,
            version=version,
            organization_id=organization_id,
            pinned=pinned.model_dump(mode="json", by_alias=True, exclude_none=True),
            listens=pinned.definition.listens,
        )
    )


async def load_pinned(
    connection: AsyncConnection, automation_id: UUID, version: int
) -> PinnedDefinition:
    """Return what one version runs; it was stored with its automation, so it exists."""
    pinned = await connection.scalar(
        select(AutomationVersionRow.pinned).where(
            tuple_(AutomationVersionRow.automation_id, AutomationVersionRow.version)
            == (automation_id, version)
        )
    )
    return PinnedDefinition.model_validate(pinned)


async def list_automations(connection: AsyncConnection) -> StoredAutomations:
    """Return every automation this connection may see, by name."""
    rows = await connection.execute(select(AutomationRow.__table__).order_by(AutomationRow.name))
    found = StoredAutomations()
    for row in rows.mappings():
        try:
            found.automations.append(_stored(row))
        except DefinitionError as error:
            found.unreadable.append(error)
    return found


async def automation_names(connection: AsyncConnection) -> list[str]:
    """Return the names of every automation this connection may see, also of unreadable ones."""
    return list(await connection.scalars(select(AutomationRow.name).order_by(AutomationRow.name)))


async def find_automation(connection: AsyncConnection, name_or_id: str) -> StoredAutomation | None:
    """Return the automation with this name or id, or None.

    Raises:
        DefinitionError: Its row was edited by hand into something invalid.
    """
    row = await _row(connection, _is_called(name_or_id))
    return None if row is None else _stored(row)


async def find_automation_id(connection: AsyncConnection, name_or_id: str) -> UUID | None:
    """Return the id of the automation with this name or id, readable or not, or None."""
    automation_id: UUID | None = await connection.scalar(
        select(AutomationRow.id).where(_is_called(name_or_id))
    )
    return automation_id


async def set_status(
    connection: AsyncConnection,
    automation_id: UUID,
    status: AutomationStatus,
    paused_runs: PausedRuns = PausedRuns.HOLD,
) -> None:
    """Set the status; the caller has made sure that an active one has steps.

    ``paused_runs`` says what becomes of the runs under way while it is paused.
    """
    await connection.execute(
        update(AutomationRow)
        .where(AutomationRow.id == automation_id)
        .values(status=status, paused_runs=paused_runs, updated_at=func.now())
    )


def _is_called(name_or_id: str) -> Any:
    try:
        return AutomationRow.id == UUID(name_or_id)
    except ValueError:
        return AutomationRow.name == name_or_id


async def _row(
    connection: AsyncConnection, condition: Any, *, lock: bool = False
) -> Mapping[Any, Any] | None:
    query = select(AutomationRow.__table__).where(condition)
    result = await connection.execute(query.with_for_update() if lock else query)
    return result.mappings().one_or_none()


async def _stored_content(connection: AsyncConnection, automation_id: UUID, version: int) -> Any:
    """Return what a version says, or None where nobody stored one that can be read."""
    try:
        return _content(await load_pinned(connection, automation_id, version))
    except ValidationError:
        return None


def _content(pinned: PinnedDefinition) -> Any:
    return pinned.model_dump(mode="json", exclude={"definition": {"status"}})


def _columns(definition: AutomationDefinition) -> dict[str, Any]:
    # As people write it: an option that comes later changes no row that says nothing of it.
    written = write_definition(definition)
    trigger = written["trigger"]
    return {
        "name": definition.name,
        "description": definition.description,
        "trigger_type": trigger.pop("type"),
        "trigger_config": trigger,
        "conditions": written.get("conditions"),
        "exit_when": written.get("exit_when"),
        "options": {name: written[name] for name in _OPTIONS if name in written},
        "steps": written.get("steps", []),
    }


def _options(row: Mapping[Any, Any]) -> Mapping[str, Any]:
    options = row["options"]
    return options if isinstance(options, dict) else {"options": options}


def _trigger(row: Mapping[Any, Any]) -> Any:
    config = row["trigger_config"]
    # What is no mapping is left to validation, which says so.
    return {**config, "type": row["trigger_type"]} if isinstance(config, dict) else config


def _stored(row: Mapping[Any, Any]) -> StoredAutomation:
    return StoredAutomation(
        id=row["id"],
        organization_id=row["organization_id"],
        status=AutomationStatus(row["status"]),
        version=row["version"],
        definition=parse_definition(
            row["name"],
            {
                "name": row["name"],
                "description": row["description"],
                "trigger": _trigger(row),
                "conditions": row["conditions"],
                "exit_when": row["exit_when"],
                **_options(row),
                "steps": row["steps"],
            },
        ),
        paused_runs=PausedRuns(row["paused_runs"]),
        updated_at=row["updated_at"],
    )
