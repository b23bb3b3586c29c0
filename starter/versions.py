"""Find the versions of an automation, and let an older one stand again."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.automation import StoredAutomation
from fixlify.domain.errors import DefinitionError, NotFoundError, Problem
from fixlify.storage.automations import Applied, store_automation
from fixlify.storage.versions import StoredVersion, list_versions


async def roll_back(
    connection: AsyncConnection, automation: StoredAutomation, version: int | None = None
) -> tuple[int, Applied]:
    """Store what *automation* said in an older version, its templates' text included, as a new one.

    Runs under way keep the version they began with.

    Args:
        connection: In a transaction of the automation's organization.
        automation: As it stands.
        version: Which; the one before the current where it is None.

    Returns:
        The version whose definition stands again, and the new one.

    Raises:
        NotFoundError: There is no such version.
        DefinitionError: It is what stands already, or can no longer be read.
    """
    found = await existing_version(connection, automation, version)
    name = automation.definition.name
    if found.pinned is None:
        raise _not_restored(name, f"version {found.version} can no longer be read; choose another")
    definition = found.pinned.definition.model_copy(update={"name": name, "status": None})
    pinned = found.pinned.model_copy(update={"definition": definition})
    applied = await store_automation(connection, automation.organization_id, pinned)
    if applied.change == "unchanged":
        raise _not_restored(
            name, f"what version {found.version} says is what stands already; nothing to restore"
        )
    return found.version, applied


def _not_restored(name: str, why: str) -> DefinitionError:
    return DefinitionError(name, [Problem("", why)])


async def existing_version(
    connection: AsyncConnection, automation: StoredAutomation, version: int | None
) -> StoredVersion:
    """Return a version of *automation*; with None the newest before the one that stands.

    Raises:
        NotFoundError: Nobody stored it; the message names those that there are.
    """
    versions = await list_versions(connection, automation.organization_id, automation.id)
    if version is None:
        older = [each for each in versions if each.version < automation.version]
        if not older:
            raise NotFoundError(
                f"'{automation.definition.name}' has no version before {automation.version}; "
                "an edit makes one"
            )
        return older[0]
    for each in versions:
        if each.version == version:
            return each
    numbers = ", ".join(str(each.version) for each in reversed(versions))
    raise NotFoundError(
        f"'{automation.definition.name}' has no version {version}; there are: {numbers}"
    )
