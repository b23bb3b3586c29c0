"""A definition as people write it: without what goes without saying."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel

from fixlify.domain.automation import AutomationDefinition, PinnedDefinition
from fixlify.domain.steps import Branch, Step

# Who gets a message, and what becomes of one that comes late, is worth reading everywhere.
_ALWAYS: Final = frozenset({"type", "to", "if_late", "on_timeout"})


def write_definition(definition: AutomationDefinition) -> dict[str, Any]:
    """Return *definition* as plain values, in the order of the reference.

    ``parse_definition`` makes the same of it again. A field that comes later, with a default,
    changes nothing in what was written before.
    """
    written = _said(definition)
    return {**written, "steps": [_write_step(step) for step in definition.steps]}


def what_changed(before: PinnedDefinition, after: PinnedDefinition) -> tuple[str, ...]:
    """Return the keys of a definition, and ``templates``, in which the two versions differ."""
    was, is_ = write_definition(before.definition), write_definition(after.definition)
    keys = [key for key in {**was, **is_} if key != "status" and was.get(key) != is_.get(key)]
    return (*keys, *(["templates"] if before.templates != after.templates else []))


def _write_step(step: Step) -> dict[str, Any]:
    said = _said(step)
    if isinstance(step, Branch):
        for side, steps in (("then", step.then), ("else", step.otherwise)):
            if side in said:
                said[side] = [_write_step(each) for each in steps]
    return {"id": step.id, "type": step.type, **said}


def _said(model: BaseModel) -> dict[str, Any]:
    """Return the fields of *model* that are not what they would be anyway."""
    dumped = model.model_dump(mode="json", by_alias=True, exclude_none=True)
    for name, field in type(model).model_fields.items():
        if name not in _ALWAYS and getattr(model, name) == field.get_default(
            call_default_factory=True
        ):
            dumped.pop(field.alias or name, None)
    return dumped
