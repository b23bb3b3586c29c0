"""Email over SMTP."""

from fixlify.channels.email.channel import SmtpChannel
from fixlify.channels.email.server import SmtpServer, StartTls

__all__ = ["SmtpChannel", "SmtpServer", "StartTls"]
