"""JSON from outside, refused wherever two programs could read it differently."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, NoReturn

# Longer than any integer a double keeps; read as a float, so that a megabyte of digits costs
# nothing before the model refuses it.
_LONGEST_INTEGER: Final = 40


class JsonTextError(ValueError):
    """The text is not JSON as we take it; the message tells what is wrong and where."""


def read_json(text: bytes) -> Any:
    """Return what *text* says: UTF-8, no key twice in one object, no NaN, nesting within reason.

    Raises:
        JsonTextError: It is anything else.
    """
    try:
        return json.loads(
            text.decode("utf-8-sig"),
            object_pairs_hook=_without_duplicates,
            parse_constant=_refuse_constant,
            parse_int=_read_integer,
        )
    except UnicodeDecodeError as error:
        raise JsonTextError("is not text in UTF-8") from error
    except json.JSONDecodeError as error:
        raise JsonTextError(
            f"is not JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        ) from error
    except RecursionError as error:
        raise JsonTextError("is nested too deeply") from error


def _without_duplicates(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    # RFC 8259 leaves the meaning open: one reader takes the first, the next one the last.
    read = dict(pairs)
    if len(read) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise JsonTextError(f"has the key {json.dumps(key[:100])} twice in one object")
            seen.add(key)
    return read


def _refuse_constant(name: str) -> NoReturn:
    raise JsonTextError(f"is not JSON: {name} is no number; leave the key out, or write null")


def _read_integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else float(digits)
