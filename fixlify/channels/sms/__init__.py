"""Text messages over Twilio."""

from fixlify.channels.sms.account import TwilioAccount
from fixlify.channels.sms.channel import TwilioChannel

__all__ = ["TwilioAccount", "TwilioChannel"]
