"""Every error this project raises, under one root.

    FixlifyError
    ├── ConfigurationError          a setting is missing or wrong
    ├── WebhookAddressError         a URL that no webhook may go to
    ├── DefinitionError             an automation that cannot be stored (carries its Problems)
    ├── RulesUnreadableError        an organization's stored rules make no sense
    ├── EventsRefusedError          events reported from outside (carries their Problems)
    │   └── TooManyEventsError      more of them than one request may hold
    ├── RequestChangedError         an idempotency key was used for another request
    ├── RequestUnderWayError        a request with this idempotency key is being answered
    ├── StaleWorkError              a resume would send what was held for long
    ├── NotFoundError               something was asked for by a name nobody has
    ├── RenderError                 a template could not become a message
    ├── RecipientError              a person cannot be reached: no address, or not a valid one
    ├── UnsubscribeTokenError       a link to unsubscribe that we did not make
    ├── TransportError              a provider did not take the message; permanent or not
    │   └── OutcomeUnknownError     the provider may have taken it: do not send again
    └── DevstackError               the embedded stack could not start or stop

Messages say what to do next. Nothing personal (addresses, names, bodies) goes into a
message: errors travel into Temporal histories and logs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from fixlify.domain.failures import FailureKind


class FixlifyError(Exception):
    """The root: catch this at a process edge and show ``str(error)`` to a person."""


class ConfigurationError(FixlifyError):
    """A setting is missing or wrong; the message names the variable."""


class WebhookAddressError(FixlifyError):
    """No webhook may go to this URL; the message says what to change, and quotes no path."""


class NotFoundError(FixlifyError):
    """Nothing has this name; ``nearest`` is the closest one that exists, or None."""

    def __init__(self, message: str, nearest: str | None = None) -> None:
        super().__init__(message)
        self.nearest = nearest


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a definition: where (``steps[0].template``) and what to do."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class DefinitionError(FixlifyError):
    """An automation definition is refused; nothing of it is stored."""

    def __init__(self, source: str, problems: list[Problem]) -> None:
        self.source = source
        self.problems = problems
        super().__init__("\n".join(f"{source}: {problem}" for problem in problems))


class RulesUnreadableError(FixlifyError):
    """An organization's stored rules make no sense; whatever a rule could bind must wait."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        told = "; ".join(map(str, problems))
        super().__init__(
            f"the organization's rules cannot be read ({told}); "
            "store them anew with `fixlify rules apply FILE`"
        )


class EventsRefusedError(FixlifyError):
    """Events reported from outside are refused; none of them is recorded.

    The problems' paths are JSON pointers (``/events/3/name``) into what was sent.
    """

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


class TooManyEventsError(EventsRefusedError):
    """There are more events than one request may hold."""

    def __init__(self, count: int, at_most: int) -> None:
        message = f"holds {count} events; send at most {at_most} at once"
        super().__init__([Problem("/events", message)])


class RequestChangedError(FixlifyError):
    """An idempotency key names one request; this is another one."""


class RequestUnderWayError(FixlifyError):
    """A request with the same idempotency key is being answered, or just was."""


class StaleWorkError(FixlifyError):
    """A stop held work for so long that somebody must say whether it is still wanted.

    Attributes:
        executions: how many executions were pending for longer than that.
        messages: how many messages were written and held for longer than that.
    """

    def __init__(self, executions: int, messages: int, older_than: timedelta) -> None:
        super().__init__(
            f"{executions} executions and {messages} messages are older than "
            f"{older_than // timedelta(hours=1)} hours, so nothing was resumed; add "
            "--cancel-older-than 24h (or 2h, or 3d) to leave old ones out, or "
            "--send-everything to send them late"
        )
        self.executions = executions
        self.messages = messages


class RenderError(FixlifyError):
    """A template could not become a message: a missing variable, a wrong type, a limit."""


class RecipientError(FixlifyError):
    """The person has no address of this kind, or one that no provider would take."""


class UnsubscribeTokenError(FixlifyError):
    """A link to unsubscribe that we did not make, or that was cut short."""


class TransportError(FixlifyError):
    """A provider did not take the message.

    Attributes:
        kind: what it means for the message; see ``FailureKind``.
        permanent: True when another attempt cannot help (a wrong number stays wrong).
        code: the provider's own code, such as ``"550 5.1.1"`` or ``"21610"``; None without one.
        retry_after: how long the provider asked us to wait; None when it did not say.
    """

    def __init__(
        self,
        message: str,
        *,
        permanent: bool,
        code: str | None = None,
        retry_after: timedelta | None = None,
        kind: FailureKind | None = None,
    ) -> None:
        """Describe the failure; *kind* is the plain one of its permanence unless given."""
        super().__init__(message)
        self.permanent = permanent
        self.kind = kind or (FailureKind.PERMANENT if permanent else FailureKind.TEMPORARY)
        self.code = code
        self.retry_after = retry_after


class OutcomeUnknownError(TransportError):
    """The connection died after the message was handed over and before the answer came."""

    def __init__(self, message: str) -> None:
        super().__init__(message, permanent=True, kind=FailureKind.UNKNOWN)


class DevstackError(FixlifyError):
    """A part of the embedded stack could not start or stop; the message says which and why."""
