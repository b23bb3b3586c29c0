"""Templates in files and folders: which text each file holds, read with care."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

from fixlify.domain.errors import DefinitionError, Problem
from fixlify.rendering.exports import RawText, read_csv_export, read_json_export, template_name
from fixlify.rendering.grammar import Part
from fixlify.rendering.languages import locale_of
from fixlify.rendering.plain_text import is_html

LARGEST_FILE: Final = 2_000_000
"""Bytes; an export of some hundred templates has fewer."""
MOST_FILES: Final = 2_000
"""Files below one folder."""

PARTS: Final[Mapping[str, Part]] = MappingProxyType(
    {
        "subject.txt": Part.SUBJECT,
        "body.txt": Part.TEXT,
        "body.html": Part.HTML,
        "sms.txt": Part.SMS,
    }
)
"""The files of a template's folder, as the shipped ones have them."""

_SUBJECT: Final = re.compile(r"\s*subject:[ \t]*(\S.*)(?:\n|\Z)", re.IGNORECASE)
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
_MARKS: Final = ((b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"))


@dataclass(frozen=True, slots=True)
class ReadTexts:
    """The texts that were read, and what is wrong with the other files."""

    texts: list[RawText] = field(default_factory=list)
    refused: list[DefinitionError] = field(default_factory=list)


def read_templates(path: Path) -> ReadTexts:
    """Return every text of the templates at *path*; nothing is converted.

    *path* is a template's folder (``subject.txt``, ``body.txt``, ``body.html``, ``sms.txt``, and
    the same again in a folder for each other language), a folder of such folders, or a file: an
    export as ``.json`` or ``.csv``, one text message as ``NAME.sms.txt``, or one email as
    ``NAME.txt`` or ``NAME.html`` with ``Subject: …`` in its first line.
    """
    found = ReadTexts()
    try:
        if path.is_dir():
            _read_folder(path, found)
        else:
            _add(found, path, partial(_read_file, path))
    except OSError as error:
        found.refused.append(_unreadable(path, error))
    if not found.texts and not found.refused:
        what = "holds no template: no subject.txt, body.txt, body.html or sms.txt, and no export"
        found.refused.append(DefinitionError(str(path), [Problem("", what)]))
    return found


def _read_folder(folder: Path, found: ReadTexts) -> None:
    files = sorted(_files(folder))
    if len(files) > MOST_FILES:
        what = f"holds more than {MOST_FILES:,} files; give the folder of the templates alone"
        found.refused.append(DefinitionError(str(folder), [Problem("", what)]))
        return
    for file in files:
        _add(found, file, partial(_of_folder, folder, file))


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files below *folder*; links to folders are not followed, so none is a circle."""
    waiting, seen = [folder], 0
    while waiting and seen <= MOST_FILES:
        for entry in sorted(waiting.pop().iterdir()):
            if entry.name.startswith((".", "__")):
                continue
            if entry.is_dir():
                if not entry.is_symlink():
                    waiting.append(entry)
            else:
                seen += 1
                yield entry


def _add(found: ReadTexts, file: Path, read: Callable[[], list[RawText]]) -> None:
    try:
        found.texts.extend(read())
    except DefinitionError as error:
        found.refused.append(error)
    except OSError as error:
        found.refused.append(_unreadable(file, error))


def _of_folder(folder: Path, file: Path) -> list[RawText]:
    """Return the texts of one *file* below the *folder* that was given."""
    part = PARTS.get(file.name)
    if part is None:
        return _read_file(file) if file.suffix in (*_EXPORTS, ".txt", ".html", ".htm") else []
    place = file.parent
    locale = locale_of(place.name) if place != folder else None
    if locale is not None:
        place = place.parent
    name = template_name(place.resolve().name)
    if name is None:
        raise _problem(file, f"the folder '{place.name}' is no name for a template; rename it")
    return [RawText(name, locale, part, _text(file), str(file))]


def _read_file(file: Path) -> list[RawText]:
    _require_file(file)
    if (read := _EXPORTS.get(file.suffix.lower())) is not None:
        return read(file)
    name, _, kind = file.stem.rpartition(".")
    if not name or kind.lower() != "sms":
        name, kind = file.stem, ""
    named = template_name(name)
    if named is None or file.suffix.lower() not in (".txt", ".html", ".htm"):
        raise _problem(file, "is no template; give a folder, or a .json, .csv, .txt or .html file")
    text = _text(file)
    if kind:
        return [RawText(named, None, Part.SMS, text, str(file))]
    subject = _SUBJECT.match(text)
    if subject is None:
        raise _problem(
            file,
            "has no 'Subject: …' in its first line, as mail needs; name it "
            f"{name}.sms.txt if it is a text message",
        )
    # The line stays, empty, so that what is told of others has their numbers.
    body = "\n" * text[: subject.end()].count("\n") + text[subject.end() :]
    part = Part.HTML if is_html(body) else Part.TEXT
    return [
        RawText(named, None, Part.SUBJECT, subject[1].strip(), str(file)),
        RawText(named, None, part, body, str(file)),
    ]


def _json(file: Path) -> list[RawText]:
    _text(file)
    return read_json_export(file.read_bytes(), str(file))


def _csv(file: Path) -> list[RawText]:
    return read_csv_export(_text(file), str(file))


_EXPORTS: Final = MappingProxyType({".json": _json, ".csv": _csv})


def _text(file: Path) -> str:
    """Return what *file* says.

    Raises:
        DefinitionError: It is too large, no text, or not in UTF-8.
    """
    _require_file(file)
    if file.stat().st_size > LARGEST_FILE:
        raise _problem(file, f"is larger than {LARGEST_FILE // 1_000_000} MB; no template is")
    content = file.read_bytes()
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            raise _problem(file, f"is text in {encoding}; save it as UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        raise _problem(
            file, f"line {line} is not text in UTF-8 (byte {byte:#04x}); save it as UTF-8"
        ) from error
    if found := _UNSTORABLE.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise _problem(file, f"line {line} holds a character that cannot be stored; remove it")
    return text


def _require_file(file: Path) -> None:
    # Whoever reads a pipe waits for ever.
    if not file.is_file():
        raise _problem(file, "is no file" if file.exists() else "is not there")


def _problem(file: Path, message: str) -> DefinitionError:
    return DefinitionError(str(file), [Problem("", message)])


def _unreadable(file: Path, error: OSError) -> DefinitionError:
    return _problem(file, f"cannot be read: {error.strerror or type(error).__name__}")
