"""Which executions a person means: by an id, by its beginning, or by an automation's name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar
from uuid import UUID

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from cli.organization import OpenOrganization
from fixlify.domain.errors import NotFoundError
from fixlify.storage.automations import automation_names, find_automation_id
from fixlify.storage.history import PastExecution, find_executions, id_range
from starter.definitions import no_such_automation

_Command = TypeVar("_Command", bound=Callable[..., Any])

# The beginning of several ids is answered with the ids it may mean, up to this many.
_CANDIDATES: Final = 5


class ExecutionIdType(click.ParamType[str]):
    """An execution's id, or its first six digits or more."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return what was written, or fail where it cannot be the beginning of an id."""
        try:
            id_range(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)


def automation_option(command: _Command) -> _Command:
    """Add ``--automation`` to *command*, as the parameter ``automation``."""
    return click.option("--automation", metavar="NAME|ID", help="Only those of one automation.")(
        command
    )


def subject_option(command: _Command) -> _Command:
    """Add ``--job`` and ``--subject`` to *command*, as the parameter ``subject``."""
    return click.option(
        "--job",
        "--subject",
        "subject",
        metavar="ID",
        help="Only those about one job, such as J-2019, or about another subject by its id.",
    )(command)


def refuse_ids_and_filters(ids: Sequence[str], filters: Sequence[object], needed: str) -> None:
    """Refuse a command that names neither executions nor a filter, or both.

    Raises:
        click.UsageError: Saying what to give; *needed* are the filters there are.
    """
    if ids and any(filters):
        raise click.UsageError(f"give the ids of executions, or {needed}; not both")
    if not ids and not any(filters):
        raise click.UsageError(
            f"say which: give the ids of executions, or {needed}; "
            "`fixlify executions list` shows them"
        )


async def find_execution(
    connection: AsyncConnection, opened: OpenOrganization, id_or_prefix: str
) -> PastExecution:
    """Return the one execution whose id is *id_or_prefix* or begins so.

    Raises:
        NotFoundError: There is none, or there are several; the message lists them.
    """
    found = await find_executions(connection, id_or_prefix, _CANDIDATES + 1)
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotFoundError(
            f"no execution of {opened.organization.name} begins with '{id_or_prefix}'; "
            "`fixlify executions list` shows those there are"
        )
    raise NotFoundError(
        f"several executions begin with '{id_or_prefix}'; give more of the id:\n"
        + "\n".join(map(_candidate, found[:_CANDIDATES]))
        + ("\n  …" if len(found) > _CANDIDATES else "")
    )


async def find_named(
    connection: AsyncConnection, opened: OpenOrganization, written: Sequence[str]
) -> list[UUID]:
    """Return the ids of the executions that *written* are or begin, each once, oldest first.

    Raises:
        NotFoundError: One of them is of none, or of several.
    """
    return sorted({(await find_execution(connection, opened, each)).id for each in written})


async def find_automation_named(connection: AsyncConnection, name_or_id: str | None) -> UUID | None:
    """Return the id of the automation that is called so; None where none was asked for.

    Raises:
        NotFoundError: With the nearest name.
    """
    if name_or_id is None:
        return None
    automation_id = await find_automation_id(connection, name_or_id)
    if automation_id is None:
        raise no_such_automation(name_or_id, await automation_names(connection))
    return automation_id


def _candidate(execution: PastExecution) -> str:
    return f"  {execution.id}  {execution.status}  {execution.automation}"
