"""Turning Pydantic's findings into sentences with a path and the nearest valid name."""

from __future__ import annotations

import re
import types
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AliasChoices, BaseModel, Tag, ValidationError
from pydantic_core import ErrorDetails

from fixlify.domain.errors import Problem
from fixlify.domain.names import did_you_mean

_QUOTED = re.compile(r"'([^']*)'")


def explain(model: type[BaseModel], error: ValidationError) -> list[Problem]:
    """Return one problem per finding, with paths as a person would write them."""
    return [_problem(model, details) for details in error.errors(include_url=False)]


def _problem(model: type[BaseModel], details: ErrorDetails) -> Problem:
    path, owner = _walk(model, details["loc"])
    # A rule about all steps finds the one that breaks it.
    path += str(details.get("ctx", {}).get("place", ""))
    match details["type"]:
        case "extra_forbidden":
            key = str(details["loc"][-1])
            hint = did_you_mean(key, _keys(owner)) if owner else "remove it"
            return Problem(path, f"unknown key '{key}'; {hint}")
        case "union_tag_invalid":
            expected = _QUOTED.findall(str(details["ctx"]["expected_tags"]))
            tag = str(details["ctx"]["tag"])
            return Problem(f"{path}.type", f"unknown type '{tag}'; {did_you_mean(tag, expected)}")
        case "union_tag_not_found":
            return Problem(path, "say which kind it is with the key 'type'")
        case "enum" | "literal_error":
            expected = _QUOTED.findall(str(details["ctx"]["expected"]))
            value = str(details["input"])
            return Problem(path, f"unknown value '{value}'; {did_you_mean(value, expected)}")
        case "missing":
            return Problem(path, "is missing; add it")
        case "invalid_key":
            return Problem(path, "a key must be text; put it in quotes")
        case "string_type":
            return Problem(path, "must be text; put it in quotes")
        case "list_type" | "tuple_type":
            return Problem(path, "must be a list")
        case "dict_type" | "model_type" | "model_attributes_type":
            return Problem(path, "must be a mapping of keys and values")
        case "string_too_short" | "too_short":
            return Problem(path, "must not be empty")
        case "too_long":
            return Problem(path, f"may hold {details['ctx']['max_length']} at most")
        case "string_pattern_mismatch":
            return Problem(path, f"must match the pattern {details['ctx']['pattern']}")
        case "bool_type" | "bool_parsing":
            return Problem(path, "must be true or false")
        case "int_type" | "int_parsing" | "int_from_float":
            return Problem(path, "must be a whole number")
        case "decimal_type" | "decimal_parsing" | "finite_number":
            return Problem(path, "must be a finite number")
        case "greater_than_equal":
            return Problem(path, f"must be {details['ctx']['ge']} or more")
        case "less_than_equal":
            return Problem(path, f"must be {details['ctx']['le']} or less")
        case _:
            return Problem(path, details["msg"].removeprefix("Value error, "))


def _walk(model: type[BaseModel], loc: Iterable[int | str]) -> tuple[str, type[BaseModel] | None]:
    """Follow *loc* through the annotations.

    Pydantic puts a union's tag into the location; it stands in no file, so it is left out.
    Returns the path (``steps[0].template``) and the innermost model that holds its last key.
    """
    path = ""
    current: Any = model
    owner: type[BaseModel] | None = model
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
            current = _element(current)
            continue
        chosen = _member(current, part)
        if chosen is not None:
            current = chosen
            continue
        holder = _model(current)
        if "[" in part or (holder is not None and part == holder.__name__):
            # Pydantic names validators (``function-before[...]``) and the members of a union
            # here; no key of the file.
            continue
        owner = holder
        path += f".{part}" if path else part
        current = _field(holder, part) if holder else _value(current)
    return path, owner


def _bare(annotation: Any) -> Any:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def _members(annotation: Any) -> list[Any]:
    """Return the members of a union, of an optional union, or the annotation alone."""
    annotation = _bare(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        return [
            inner
            for member in get_args(annotation)
            if member is not type(None)
            for inner in ([member] if _tag(member) else _members(member))
        ]
    return [annotation]


def _tag(annotation: Any) -> str | None:
    if get_origin(annotation) is Annotated:
        for extra in get_args(annotation)[1:]:
            if isinstance(extra, Tag):
                return extra.tag
    bare = _bare(annotation)
    if isinstance(bare, type) and issubclass(bare, BaseModel) and "type" in bare.model_fields:
        literal = bare.model_fields["type"].annotation
        if get_origin(literal) is Literal:
            return str(get_args(literal)[0])
    return None


def _member(annotation: Any, tag: str) -> Any:
    members = _members(annotation)
    if len(members) < 2:
        return None
    return next((member for member in members if _tag(member) == tag), None)


def _model(annotation: Any) -> type[BaseModel] | None:
    for member in _members(annotation):
        bare = _bare(member)
        if isinstance(bare, type) and issubclass(bare, BaseModel):
            return bare
    return None


def _element(annotation: Any) -> Any:
    for member in _members(annotation):
        arguments = get_args(_bare(member))
        if arguments:
            return arguments[0]
    return None


def _value(annotation: Any) -> Any:
    """Return what a mapping's values are; their keys are the file's own."""
    for member in _members(annotation):
        if get_origin(bare := _bare(member)) is Mapping:
            return get_args(bare)[1]
    return None


def _names(field: str, alias: str | None, choices: Any) -> list[str]:
    if isinstance(choices, AliasChoices):
        return [str(choice) for choice in choices.choices]
    return [alias or field]


def _field(model: type[BaseModel], key: str) -> Any:
    for name, field in model.model_fields.items():
        if key == name or key in _names(name, field.alias, field.validation_alias):
            # Pydantic keeps the metadata beside the annotation; the walk needs it inside.
            return Annotated[(field.annotation, *field.metadata, None)]
    return None


def _keys(model: type[BaseModel]) -> list[str]:
    """Return the keys a user may write, without second spellings."""
    return [
        _names(name, field.alias, field.validation_alias)[0]
        for name, field in model.model_fields.items()
    ]
