"""The base of every domain model: frozen, and closed against unknown keys."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A value: immutable, compared by content."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Message(BaseModel):
    """What travels between workflows and activities.

    Unknown keys are ignored, so that a worker can read what a newer one wrote; new fields
    need a default and a word on what older runs decode to.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")
