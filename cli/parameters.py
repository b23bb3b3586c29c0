"""Parameters that commands share."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import click
from pydantic_core import PydanticCustomError

from fixlify.domain.durations import parse_duration


class DurationType(click.ParamType[timedelta]):
    """A duration as automations have them: ``90s``, ``2h``, ``7d``."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Return the duration, or fail with what one looks like."""
        try:
            return parse_duration(value)
        except PydanticCustomError as error:
            self.fail(error.message(), param, ctx)
