"""The templates that come with the package: a folder each, a file per part.

A folder inside is a translation, called by its locale (``es``); the files beside it are in
English.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from operator import attrgetter
from types import MappingProxyType

from fixlify.domain.automation import TemplateSource
from fixlify.domain.errors import NotFoundError
from fixlify.domain.names import did_you_mean, nearest

_FILES = {"subject": "subject.txt", "text": "body.txt", "html": "body.html", "sms": "sms.txt"}


@cache
def shipped_templates() -> Mapping[str, TemplateSource]:
    """Return every shipped template by its name."""
    templates = files(__package__) / "templates"
    return MappingProxyType({folder.name: _read(folder) for folder in _folders(templates)})


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
    translations = {inner.name: _parts(inner) for inner in _folders(folder)}
    return _parts(folder).model_copy(update={"translations": translations})


def _folders(folder: Traversable) -> list[Traversable]:
    return sorted((each for each in folder.iterdir() if each.is_dir()), key=attrgetter("name"))


def _parts(folder: Traversable) -> TemplateSource:
    texts = {
        part: path.read_text(encoding="utf-8")
        for part, file in _FILES.items()
        if (path := folder / file).is_file()
    }
    return TemplateSource.model_validate(texts)
