"""What a rehearsal tells of each step: when, what, to whom, and why not."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from fixlify.domain.models import Frozen
from fixlify.domain.rules import MessageClass


class Fate(StrEnum):
    """What would become of a step."""

    SENT = "sent"
    DONE = "done"
    WAITED = "waited"
    BRANCHED = "branched"
    SKIPPED = "skipped"
    FAILED = "failed"
    ENDED = "ended"


class Holding(Frozen):
    """A time for which rules hold a message, and which rule."""

    since: datetime
    until: datetime
    reason: str


class SimulatedMessage(Frozen):
    """What would be sent: the rendered texts, and to whom."""

    channel: str
    message_class: MessageClass
    recipient_kind: str
    recipient: str | None = None
    subject: str | None = None
    text: str | None = None
    html: bool = False
    segments: int | None = None


class SimulatedStep(Frozen):
    """One step of a rehearsal.

    ``at`` is when the run comes to it by the virtual clock, ``until`` when it goes on: the end
    of a wait, the moment a held message goes. ``depth`` counts the branches around it. ``told``
    says what it waits for, which way it goes with which values, or what it would write;
    ``reason`` why it is skipped, fails, or ends the run.
    """

    step_id: str
    kind: str
    fate: Fate
    at: datetime
    depth: int = 0
    until: datetime | None = None
    told: str | None = None
    reason: str | None = None
    held: tuple[Holding, ...] = ()
    message: SimulatedMessage | None = None
