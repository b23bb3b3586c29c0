"""The automations in this folder, ready to be applied to an organization."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from fixlify.library.reading import read_yaml


@cache
def shipped_automations() -> Mapping[str, dict[str, Any]]:
    """Return what each shipped file says, by the file's name without ``.yaml``; not validated."""
    texts = {
        entry.name.removesuffix(".yaml"): entry.read_text(encoding="utf-8")
        for entry in files(__package__).iterdir()
        if entry.name.endswith(".yaml")
    }
    automations = {}
    for name in sorted(texts):
        (automations[name],) = read_yaml(texts[name], f"{name}.yaml")
    return MappingProxyType(automations)
