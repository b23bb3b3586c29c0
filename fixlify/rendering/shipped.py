"""The templates that come with the package: a folder each, a file per part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType

from fixlify.domain.automation import TemplateSource
from fixlify.domain.errors import NotFoundError
from fixlify.domain.names import did_you_mean, nearest

_FILES = {"subject": "subject.txt", "text": "body.txt", "html": "body.html", "sms": "sms.txt"}


@cache
def shipped_templates() -> Mapping[str, TemplateSource]:
    """Return every shipped template by its name."""
    folders = sorted(
        (entry for entry in (files(__package__) / "templates").iterdir() if entry.is_dir()),
        key=lambda folder: folder.name,
    )
    return MappingProxyType({folder.name: _read(folder) for folder in folders})


def resolve(names: Iterable[str]) -> dict[str, TemplateSource]:
    """Return the shipped templates called *names*.

    Raises:
        NotFoundError: One of them does not exist; ``nearest`` is the closest that does.
    """
    shipped = shipped_templates()
    chosen: dict[str, TemplateSource] = {}
    for name in names:
        if name not in shipped:
            raise NotFoundError(
                f"there is no template '{name}'; {did_you_mean(name, shipped)}",
                nearest(name, shipped),
            )
        chosen[name] = shipped[name]
    return chosen


def _read(folder: Traversable) -> TemplateSource:
    texts = {
        part: path.read_text(encoding="utf-8")
        for part, file in _FILES.items()
        if (path := folder / file).is_file()
    }
    return TemplateSource.model_validate(texts)
