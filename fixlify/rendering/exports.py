"""The replaced system's templates as its tables were exported: JSON or CSV, one row each."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fixlify.domain.errors import DefinitionError, Problem
from fixlify.domain.strict_json import JsonTextError, read_json
from fixlify.rendering.grammar import Part
from fixlify.rendering.languages import locale_of
from fixlify.rendering.plain_text import is_html

_LONGEST_NAME: Final = 63
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
_NAMES: Final = ("name", "template_name", "title", "key", "slug")
_CHANNELS: Final = ("type", "channel", "template_type", "message_type")
_LOCALES: Final = ("locale", "language", "lang")
_ANY_BODY: Final = ("content", "body", "message", "template", "template_content")
_TEXTS: Final[Mapping[Part, tuple[str, ...]]] = {
    Part.SUBJECT: ("subject", "email_subject"),
    Part.HTML: ("html", "body_html", "html_content", "html_body", "content_html"),
    Part.TEXT: ("text", "body_text", "text_content", "plain_text"),
    Part.SMS: ("sms", "sms_content", "sms_body", "sms_text", "sms_message"),
}


@dataclass(frozen=True, slots=True)
class RawText:
    """One text of one template, not converted; ``place`` is the file or row it was read from.

    ``locale`` is None for the template's own language.
    """

    name: str
    locale: str | None
    part: Part
    text: str
    place: str


def template_name(written: str) -> str | None:
    """Return the name a template gets, ``job-completed`` for ``Job Completed``, or None."""
    plain = unicodedata.normalize("NFKD", written).encode("ascii", "ignore").decode()
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", plain)
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:_LONGEST_NAME].strip("-") or None


def read_json_export(content: bytes, source: str) -> list[RawText]:
    """Return the texts of every row in a JSON file: a list, one object, or ``{"…": [rows]}``.

    Raises:
        DefinitionError: With what is wrong, by row.
    """
    try:
        document = read_json(content)
    except JsonTextError as error:
        raise DefinitionError(source, [Problem("", str(error))]) from error
    if isinstance(document, dict) and not any(name in document for name in _NAMES):
        lists = [value for value in document.values() if isinstance(value, list)]
        document = lists[0] if len(lists) == 1 else [document]
    return _rows_of(document if isinstance(document, list) else [document], source)


def read_csv_export(text: str, source: str) -> list[RawText]:
    """Return the texts of every row of a CSV file whose first line names its columns.

    Raises:
        DefinitionError: With what is wrong, by row.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise DefinitionError(source, [Problem("", f"is not CSV: {error}")]) from error
    return _rows_of(list(rows), source)


def _rows_of(rows: list[Any], source: str) -> list[RawText]:
    found: list[RawText] = []
    problems: list[Problem] = []
    if not rows:
        problems.append(Problem("", "holds no template"))
    owners = {str(row["organization_id"]) for row in rows if _has(row, "organization_id")}
    if len(owners) > 1:
        problems.append(
            Problem("", f"holds templates of {len(owners)} organizations; export one of them")
        )
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            problems.append(Problem(f"row {number}", "is no object with a name and texts"))
            continue
        written = _first(row, _NAMES)
        place = f"'{written}'" if written else f"row {number}"
        try:
            found += _texts_of(row, written, f"{source}: {place}")
        except ValueError as error:
            problems.append(Problem(place, str(error)))
    if problems:
        raise DefinitionError(source, problems)
    return found


def _texts_of(row: Mapping[str, Any], written: str | None, place: str) -> Iterator[RawText]:
    name = template_name(written or "")
    if name is None:
        raise ValueError("has no name in Latin letters or digits; write one under 'name'")
    if "steps" in row or "trigger_type" in row:
        raise ValueError("is an automation; templates have a subject and a content")
    said = _first(row, _LOCALES)
    locale = locale_of(said) if said else None
    if said and locale is None:
        raise ValueError(f"'{said}' is no language; write one such as en or es_MX")
    texts = {part: text for part, keys in _TEXTS.items() if (text := _first(row, keys))}
    if body := _first(row, _ANY_BODY):
        part = _part_of(body, _first(row, _CHANNELS), has_subject=Part.SUBJECT in texts)
        if part in texts:
            raise ValueError(f"has two texts for {part.value}; keep one")
        texts[part] = body
    if Part.SMS in texts and len(texts) == 2 and Part.SUBJECT in texts:
        # A text message has none, whatever the column holds.
        del texts[Part.SUBJECT]
    if not texts:
        raise ValueError(f"has no text; write one under 'subject' and '{_ANY_BODY[0]}'")
    return (RawText(name, locale, part, text, place) for part, text in texts.items())


def _part_of(body: str, channel: str | None, *, has_subject: bool) -> Part:
    kind = (channel or ("email" if has_subject else "")).strip().casefold()
    if kind in ("sms", "text", "text message", "text_message"):
        return Part.SMS
    if kind in ("email", "mail", "e-mail"):
        return Part.HTML if is_html(body) else Part.TEXT
    says = f"'{channel}' is no channel" if channel else "does not say whether it is mail or a text"
    raise ValueError(f"{says}; write email or sms under 'type'")


def _first(row: Mapping[str, Any], keys: tuple[str, ...]) -> str | None:
    for key in keys:
        value = row.get(key)
        if isinstance(value, str) and value.strip():
            if _UNSTORABLE.search(value):
                raise ValueError(f"'{key}' holds a character that cannot be stored; remove it")
            return value
        if value is not None and not isinstance(value, str | bool | int | float):
            raise ValueError(f"'{key}' is no text")
    return None


def _has(row: Any, key: str) -> bool:
    return isinstance(row, dict) and row.get(key) is not None
