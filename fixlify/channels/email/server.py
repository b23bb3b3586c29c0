"""Where a mail server is, and how to log in: ``FIXLIFY_SMTP_URL`` in parts."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from pydantic import SecretStr

from fixlify.domain.errors import ConfigurationError

SETTING = "FIXLIFY_SMTP_URL"
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
    """One mail server. ``implicit_tls`` is ``smtps``: encrypted from the first byte.

    ``setting`` is the variable that it comes from, for errors to name.
    """

    host: str
    port: int
    username: str | None = None
    password: SecretStr | None = None
    implicit_tls: bool = False
    starttls: StartTls = StartTls.AUTO
    setting: str = SETTING

    @classmethod
    def from_url(cls, url: str, setting: str = SETTING) -> SmtpServer:
        """Return the server that *url* describes.

        Special characters in user and password are percent-encoded. Without ``starttls``
        a password is never sent in the clear to another machine; without a password, or on
        this machine, encryption is used where it is offered.

        Raises:
            ConfigurationError: Naming *setting* and what is wrong, without the password.
        """
        parts, port = _split(url, setting)
        if parts.scheme not in _PORTS:
            raise _wrong(setting, "begins with neither smtp:// nor smtps://")
        if not parts.hostname:
            raise _wrong(setting, "has no host")
        if parts.path not in ("", "/") or parts.fragment:
            # A password with a bare '/', '?' or '#' ends up here.
            raise _wrong(setting, "goes on after the host; percent-encode special characters")
        if (parts.username is None) != (parts.password is None):
            raise _wrong(setting, "has a user without a password, or the reverse")
        host, implicit_tls = parts.hostname, parts.scheme == "smtps"
        has_login = parts.password is not None
        safest = StartTls.REQUIRE if has_login and not _is_this_machine(host) else StartTls.AUTO
        return cls(
            host=host,
            port=_PORTS[parts.scheme] if port is None else port,
            username=None if parts.username is None else unquote(parts.username),
            password=None if parts.password is None else SecretStr(unquote(parts.password)),
            implicit_tls=implicit_tls,
            starttls=StartTls.NEVER if implicit_tls else _starttls(parts.query, safest, setting),
            setting=setting,
        )

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def _split(url: str, setting: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(url.strip())
        return parts, parts.port
    except ValueError:
        # Its words may quote the password.
        raise _wrong(setting, "is not a URL with a numeric port") from None


def _starttls(query: str, default: StartTls, setting: str) -> StartTls:
    options = parse_qsl(query, keep_blank_values=True)
    if any(name != "starttls" for name, _ in options) or len(options) > 1:
        raise _wrong(setting, "takes no option but starttls")
    try:
        return StartTls(options[0][1]) if options else default
    except ValueError:
        raise _wrong(setting, "takes starttls=auto, require or never") from None


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _wrong(setting: str, what: str) -> ConfigurationError:
    return ConfigurationError(f"{setting} {what}; write it as {_FORM}")
