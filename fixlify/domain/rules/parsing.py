"""An organization's rules as they are written in YAML or sent to the API."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from fixlify.domain.errors import DefinitionError
from fixlify.domain.problems import explain
from fixlify.domain.rules.model import Rules


def parse_rules(source: str, data: Any) -> Rules:
    """Return the rules that *data* (parsed YAML or JSON) describes.

    Args:
        source: What to call it in errors: the file's name.
        data: A mapping with any of the rules.

    Raises:
        DefinitionError: With every problem in it, each with its path and what to do.
    """
    try:
        return Rules.model_validate(data)
    except ValidationError as error:
        raise DefinitionError(source, explain(Rules, error)) from error
