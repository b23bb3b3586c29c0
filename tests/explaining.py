"""How Postgres would go about a statement, and whether that is bearable on large tables."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import psycopg
from sqlalchemy import TextClause
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from fixlify import storage
from fixlify.storage.database import Role
from fixlify.storage.tables import Table
from tests.grown import acting_as

# What may be read as a whole anyway: what people made by hand. The rest makes itself.
_FEW: Final = {
    "organizations",
    "automation_workflows",
    "automation_workflows_pkey",
    "automation_schedules",
    "automation_schedules_pkey",
    "automation_stops",
    "channel_settings",
    "channel_settings_pkey",
    "webhook_settings",
    "webhook_settings_pkey",
}
_PARTIAL: Final = {
    index.name
    for table in Table.metadata.sorted_tables
    for index in table.indexes
    if index.dialect_options["postgresql"]["where"] is not None
}
_NO_STATEMENTS: Final = ("tables", "migrations")
"""Defaults and conditions of indexes; and what runs once, while nobody else is there."""


@dataclass(frozen=True, slots=True)
class Reads:
    """What a statement is given, and how it is to find its rows.

    ``indexes`` are those it must use; of several with ``|`` between them, one. ``bounds`` are
    what an index must be asked for, as Postgres writes it. ``whole`` may be read as a whole:
    tables, and indexes whose first rows are wanted.

    Postgres keeps a plan for any parameters, except where the statement is ``replanned`` by
    force, or where that plan would be ``dearer``: ten times as much as one for its parameters.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict)
    indexes: Set[str] = frozenset()
    role: Role = Role.ENGINE
    bounds: Set[str] = frozenset()
    whole: Set[str] = frozenset()
    replanned: bool = False
    dearer: bool = False


@cache
def statements() -> dict[str, TextClause]:
    """Return every statement that a module of ``fixlify.storage`` holds, by where it stands."""
    found: dict[str, TextClause] = {}
    for module in pkgutil.walk_packages(storage.__path__, f"{storage.__name__}."):
        name = module.name.removeprefix(f"{storage.__name__}.")
        if name.split(".")[0] not in _NO_STATEMENTS:
            for attribute, value in vars(importlib.import_module(module.name)).items():
                found.update(_within(f"{name}.{attribute}", value))
    return found


def statement_called(name: str) -> TextClause:
    """Return the statement of a *name* that may say, after a space, what is special about it."""
    return statements()[name.split(" ")[0]]


def _within(place: str, value: object) -> Iterator[tuple[str, TextClause]]:
    if isinstance(value, TextClause):
        yield place, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _within(f"{place}[{key}]", item)
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _within(f"{place}[{number}]", item)
    elif type(value).__module__.startswith(storage.__name__):
        for attribute in _attributes(value):
            yield from _within(f"{place}.{attribute}", getattr(value, attribute, None))


def _attributes(value: object) -> list[str]:
    return [*getattr(value, "__dict__", ()), *getattr(value, "__slots__", ())]


async def check_plan(
    connection: psycopg.AsyncConnection, statement: TextClause, reads: Reads
) -> None:
    """Check the plan made for the parameters that *reads* has."""
    async with acting_as(connection, reads.role):
        check(await explain(connection, _named(statement), reads.parameters), reads)


async def check_plan_for_any_parameters(
    connection: psycopg.AsyncConnection, statement: TextClause, reads: Reads
) -> None:
    """Check the plan that a prepared statement keeps after a few calls, or that it costs more."""
    places: dict[str, int] = {}
    numbered = re.sub(
        r"%\((\w+)\)s",
        lambda each: f"${places.setdefault(each[1], len(places) + 1)}",
        _named(statement),
    ).replace("%%", "%")
    async with acting_as(connection, reads.role):
        for_any = await explain(connection, numbered)
        if reads.dearer:
            for_these = await explain(connection, _named(statement), reads.parameters)
            assert for_any["Total Cost"] > 10 * for_these["Total Cost"], _drawn(for_any)
        else:
            check(for_any, reads)


def made_in_functions() -> set[str]:
    """Return the functions of the storage package that make statements themselves."""
    folder = Path(storage.__path__[0])
    modules = {
        path: path.relative_to(folder).with_suffix("").parts for path in folder.rglob("*.py")
    }
    return {
        ".".join((*name, function.name))
        for path, name in modules.items()
        if name[0] not in _NO_STATEMENTS
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for call in ast.walk(function)
        if isinstance(call, ast.Call) and ast.unparse(call.func) in ("text", "sqlalchemy.text")
    }


def _named(statement: TextClause) -> str:
    """Return *statement* as it is sent: ``%(name)s`` for each of its parameters."""
    dialect = PGDialect_psycopg()  # type: ignore[no-untyped-call]
    return str(statement.compile(dialect=dialect))


async def explain(
    connection: psycopg.AsyncConnection,
    statement: str,
    parameters: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the plan of *statement*; without parameters, of any that may come."""
    generic = "GENERIC_PLAN, " if "$1" in statement else ""
    cursor = await connection.execute(
        f"EXPLAIN ({generic}FORMAT JSON) {statement}".encode(), parameters
    )
    row = await cursor.fetchone()
    assert row is not None
    plan: dict[str, Any] = row[0][0]["Plan"]
    return plan


def check(plan: dict[str, Any], reads: Reads) -> None:
    """Check that *plan* uses the indexes it should, and goes through nothing large."""
    steps = list(_steps(plan))
    by_index = [step for step in steps if "Index Name" in step]
    used = {step["Index Name"] for step in by_index}
    asked = " ".join(step.get("Index Cond", "") for step in by_index)
    # An index without a condition is one more way to read a table as a whole.
    read = {step["Relation Name"] for step in steps if step["Node Type"] == "Seq Scan"} | {
        step["Index Name"] for step in by_index if "Index Cond" not in step
    }
    too_much = read - _FEW - _PARTIAL - reads.whole
    missing = {choice for choice in reads.indexes if not used & set(choice.split("|"))}
    unbound = {bound for bound in reads.bounds if bound not in asked}
    assert not too_much, f"reads {too_much} as a whole:\n{_drawn(plan)}"
    assert not missing, f"does not use {missing}:\n{_drawn(plan)}"
    assert not unbound, f"asks no index for {unbound}:\n{_drawn(plan)}"


def _steps(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from _steps(child)


def _drawn(plan: dict[str, Any], depth: int = 0) -> str:
    told = ("Node Type", "Relation Name", "Index Name", "Index Cond", "Filter", "Total Cost")
    step = ", ".join(str(plan[each]) for each in told if each in plan)
    return "\n".join(
        [f"{'  ' * depth}{step}", *(_drawn(child, depth + 1) for child in plan.get("Plans", []))]
    )
