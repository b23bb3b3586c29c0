"""What every step has: an id, a switch, and a word on its failure."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from fixlify.domain.models import Frozen

StepId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
"""Lower-case letters, digits, ``-`` and ``_``; unique within its automation."""


class OnError(StrEnum):
    """What becomes of the run when the step fails; it counts as failed either way."""

    STOP = "stop"
    CONTINUE = "continue"


class StepBase(Frozen):
    """The beginning of every step; one that is not ``enabled`` is passed over and says so."""

    id: StepId | None = None
    enabled: bool = True
    on_error: OnError = OnError.CONTINUE
