"""Where the mail server is, and how to log in: ``FIXLIFY_SMTP_URL`` in parts."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from pydantic import SecretStr

from fixlify.domain.errors import ConfigurationError

_FORM = "smtp://user:password@host:587?starttls=require, or smtps://user:password@host"
_PORTS = {"smtp": 587, "smtps": 465}


class StartTls(StrEnum):
    """Whether a connection that begins in the clear is encrypted."""

    AUTO = "auto"
    """Where the server offers it."""
    REQUIRE = "require"
    """Always; a server without it gets nothing."""
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """One mail server. ``implicit_tls`` is ``smtps``: encrypted from the first byte."""

    host: str
    port: int
    username: str | None = None
    password: SecretStr | None = None
    implicit_tls: bool = False
    starttls: StartTls = StartTls.AUTO

    @classmethod
    def from_url(cls, url: str) -> SmtpServer:
        """Return the server that *url* describes.

        Special characters in user and password are percent-encoded. Without ``starttls``
        a password is never sent in the clear to another machine; without a password, or on
        this machine, encryption is used where it is offered.

        Raises:
            ConfigurationError: Naming FIXLIFY_SMTP_URL and what is wrong, without the password.
        """
        parts, port = _split(url)
        if parts.scheme not in _PORTS:
            raise _wrong("begins with neither smtp:// nor smtps://")
        if not parts.hostname:
            raise _wrong("has no host")
        if parts.path not in ("", "/") or parts.fragment:
            # A password with a bare '/', '?' or '#' ends up here.
            raise _wrong("goes on after the host; percent-encode special characters")
        if (parts.username is None) != (parts.password is None):
            raise _wrong("has a user without a password, or the reverse")
        host, implicit_tls = parts.hostname, parts.scheme == "smtps"
        has_login = parts.password is not None
        safest = StartTls.REQUIRE if has_login and not _is_this_machine(host) else StartTls.AUTO
        return cls(
            host=host,
            port=_PORTS[parts.scheme] if port is None else port,
            username=None if parts.username is None else unquote(parts.username),
            password=None if parts.password is None else SecretStr(unquote(parts.password)),
            implicit_tls=implicit_tls,
            starttls=StartTls.NEVER if implicit_tls else _starttls(parts.query, safest),
        )

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def _split(url: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(url.strip())
        return parts, parts.port
    except ValueError:
        # Its words may quote the password.
        raise _wrong("is not a URL with a numeric port") from None


def _starttls(query: str, default: StartTls) -> StartTls:
    options = parse_qsl(query, keep_blank_values=True)
    if any(name != "starttls" for name, _ in options) or len(options) > 1:
        raise _wrong("takes no option but starttls")
    try:
        return StartTls(options[0][1]) if options else default
    except ValueError:
        raise _wrong("takes starttls=auto, require or never") from None


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _wrong(what: str) -> ConfigurationError:
    return ConfigurationError(f"FIXLIFY_SMTP_URL {what}; write it as {_FORM}")
