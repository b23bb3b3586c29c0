"""Ways to reach a person: one protocol, one module per provider."""

from fixlify.channels.protocol import (
    Accepted,
    EmailChannel,
    OutgoingEmail,
    OutgoingSms,
    SmsChannel,
)

__all__ = ["Accepted", "EmailChannel", "OutgoingEmail", "OutgoingSms", "SmsChannel"]
