"""Automations from files, folders, standard input and the package, each validated."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from fixlify.domain.automation import PinnedDefinition, TemplateSource
from fixlify.domain.errors import DefinitionError, NotFoundError, Problem
from fixlify.domain.names import did_you_mean, nearest
from fixlify.library import AUTOMATION, Wanted, read_yaml, read_yaml_file, shipped_automations
from starter.definitions import validate_definition

STDIN: Final = Path("-")
_SUFFIXES: Final = frozenset({".yaml", ".yml"})


@dataclass(frozen=True, slots=True)
class ReadDefinition:
    """A valid automation, and the file it was read from."""

    source: str
    pinned: PinnedDefinition


@dataclass(frozen=True, slots=True)
class ReadDefinitions:
    """What was read: the valid automations in their order, and what is wrong with the others."""

    valid: list[ReadDefinition] = field(default_factory=list)
    refused: list[DefinitionError] = field(default_factory=list)

    def problem_documents(self) -> list[dict[str, Any]]:
        """Return every problem for ``--json``, each with its source and path."""
        return [
            {"source": error.source, "path": problem.path, "message": problem.message}
            for error in self.refused
            for problem in error.problems
        ]


def read_definitions(
    paths: Iterable[Path],
    shipped: Sequence[str] = (),
    templates: Mapping[str, TemplateSource] | None = None,
) -> ReadDefinitions:
    """Return every automation in the files and folders at *paths*, and the *shipped* ones.

    ``-`` is standard input; a folder stands for the YAML files below it. What cannot be read
    or is not valid is refused, with all its problems, and keeps nobody else from being read. They
    may name *templates*: the shipped ones unless given.

    Raises:
        NotFoundError: There is no shipped automation of that name.
    """
    found = ReadDefinitions()
    sources: dict[str, str] = {}
    for source, data in _sources(paths, shipped, found.refused):
        try:
            pinned = validate_definition(source, data, templates)
        except DefinitionError as error:
            found.refused.append(error)
            continue
        name = pinned.definition.name
        if name in sources:
            # The second would silently become a new version of the first.
            message = f"'{name}' is in {sources[name]} too; give each automation its own name"
            found.refused.append(DefinitionError(source, [Problem("name", message)]))
            continue
        sources[name] = source
        found.valid.append(ReadDefinition(source, pinned))
    return found


def _sources(
    paths: Iterable[Path], shipped: Sequence[str], refused: list[DefinitionError]
) -> Iterator[tuple[str, Any]]:
    """Yield each automation that is YAML, with what to call it; refuse the rest."""
    library = shipped_automations()
    for name in shipped:
        if name not in library:
            raise NotFoundError(
                f"there is no shipped automation '{name}'; {did_you_mean(name, library)}",
                nearest(name, library),
            )
        yield f"{name} (shipped)", library[name]
    for path in paths:
        try:
            for file in _files(path):
                source = "standard input" if file == STDIN else str(file)
                try:
                    automations = read_stdin(source) if file == STDIN else read_yaml_file(file)
                except DefinitionError as error:
                    refused.append(error)
                    continue
                yield from _numbered(source, automations)
        except OSError as error:
            problem = Problem("", f"cannot be read: {error.strerror}")
            refused.append(DefinitionError(str(path), [problem]))


def _files(path: Path) -> list[Path]:
    if path == STDIN or not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.suffix in _SUFFIXES and file.is_file())


def read_stdin(source: str, wanted: Wanted = AUTOMATION) -> list[dict[str, Any]]:
    """Return every document of standard input; as ``read_yaml``."""
    try:
        text = sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise DefinitionError(source, [Problem("", "is not text in UTF-8")]) from error
    return read_yaml(text, source, wanted)


def _numbered(source: str, automations: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    if len(automations) == 1:
        yield source, automations[0]
        return
    for place, automation in enumerate(automations, start=1):
        yield f"{source} (document {place})", automation
