"""Text messages over Twilio."""

from fixlify.channels.sms.account import TwilioAccount
from fixlify.channels.sms.channel import TwilioChannel
from fixlify.channels.sms.codes import delivery_reason

__all__ = ["TwilioAccount", "TwilioChannel", "delivery_reason"]
