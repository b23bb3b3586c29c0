"""Read automations from YAML: one or many in a file, nothing executed, nothing guessed.

Words stay words. YAML 1.1 takes ``on``, ``no`` and ``12:30`` for true, false and 750; a
status called ``on`` would never match.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from fixlify.domain.errors import DefinitionError, Problem

LARGEST_FILE = 1_000_000
"""Bytes; an automation is a page at most."""


class _PlainLoader(yaml.SafeLoader):
    """YAML's safe subset, with the scalars of YAML 1.2 and no key twice."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - how PyYAML is told
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":bool", ":int"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _constructor_error("a key is one word", key)
            if key.value in seen:
                raise _constructor_error(f"the key '{key.value}' is there twice; remove one", key)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789")
)


class Wanted(NamedTuple):
    """What a file is to hold, and what that looks like, for whoever wrote something else."""

    what: str
    shape: str


AUTOMATION: Final = Wanted("an automation", "a mapping with name, trigger and steps")


def read_yaml_file(path: Path, wanted: Wanted = AUTOMATION) -> list[dict[str, Any]]:
    """Return every automation in the file at *path*, in order; not validated.

    Raises:
        DefinitionError: It cannot be read, or as for ``read_yaml``.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise DefinitionError(str(path), [Problem("", f"is far too large for {wanted.what}")])
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DefinitionError(str(path), [Problem("", f"cannot be read: {reason}")]) from error
    except UnicodeDecodeError as error:
        raise DefinitionError(str(path), [Problem("", "is not text in UTF-8")]) from error
    return read_yaml(text, str(path), wanted)


def read_yaml(text: str, source: str, wanted: Wanted = AUTOMATION) -> list[dict[str, Any]]:
    """Return every automation in *text*, in order; documents are divided by ``---``.

    Args:
        text: YAML.
        source: what to call it in errors: the file's name.
        wanted: what else than an automation it is to hold.

    Raises:
        DefinitionError: With the line: no YAML, a key twice, nothing in it, or something
            that is not a mapping.
    """
    automations: list[dict[str, Any]] = []
    try:
        loader = _PlainLoader(text)
        while loader.check_node():
            node = loader.get_node()
            if isinstance(node, yaml.MappingNode):
                automations.append(loader.construct_document(node))
            elif node is not None and node.tag != "tag:yaml.org,2002:null":
                raise _constructor_error(f"{wanted.what} is {wanted.shape}", node)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise DefinitionError(source, [_explained(error)]) from error
    if not automations:
        raise DefinitionError(source, [Problem("", f"is empty; write {wanted.what} into it")])
    return automations


def _constructor_error(message: str, node: yaml.Node) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, message, node.start_mark)


def _explained(error: Exception) -> Problem:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}" if mark else ""
        return Problem(place, error.problem or error.context or "is not YAML")
    if isinstance(error, yaml.reader.ReaderError):
        return Problem("", "has a character in it that YAML does not allow; remove it")
    return Problem("", f"is not YAML: {type(error).__name__}")
