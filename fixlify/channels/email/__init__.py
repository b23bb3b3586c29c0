"""Email over SMTP."""

from fixlify.channels.email.channel import Patience, SmtpChannel
from fixlify.channels.email.server import SmtpServer, StartTls

__all__ = ["Patience", "SmtpChannel", "SmtpServer", "StartTls"]
