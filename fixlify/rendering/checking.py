"""Say what is wrong with a template before anything is stored or sent."""

from __future__ import annotations

from typing import Literal

from fixlify.domain.automation import TemplateSource
from fixlify.domain.errors import Problem
from fixlify.rendering.compiling import DefectiveTemplateError, compile_part
from fixlify.rendering.grammar import Part

Channel = Literal["email", "sms"]

_REQUIRED: dict[Channel, tuple[Part, ...]] = {
    "email": (Part.SUBJECT, Part.TEXT),
    "sms": (Part.SMS,),
}
_OPTIONAL: dict[Channel, tuple[Part, ...]] = {"email": (Part.HTML,), "sms": ()}


def check_template(source: TemplateSource, *, channel: Channel) -> list[Problem]:
    """Return everything that would keep *source* from being sent over *channel*.

    Each problem's path is the part and the line in it, ``text line 3``. Whether the facts
    are complete is not known yet: an empty field fails the message, not the template.
    """
    problems: list[Problem] = []
    for part in _REQUIRED[channel] + _OPTIONAL[channel]:
        text: str | None = getattr(source, part)
        if text is not None:
            try:
                compile_part(part, text)
            except DefectiveTemplateError as error:
                problems += error.problems
        elif part in _REQUIRED[channel]:
            what = "text message" if channel == "sms" else "email"
            problems.append(Problem(part.value, f"is missing, and no {what} goes without; add it"))
    return problems
