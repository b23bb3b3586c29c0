"""A mail server is described by one URL, and a wrong URL never shows its password."""

from __future__ import annotations

import pytest

from fixlify.channels.email import SmtpServer, StartTls
from fixlify.domain.errors import ConfigurationError


def test_everything_in_a_url_is_understood() -> None:
    server = SmtpServer.from_url("smtp://ann%40example.com:p%40ss%2F%3A@mail.example.com:2525")
    assert (server.host, server.port) == ("mail.example.com", 2525)
    assert server.username == "ann@example.com"
    assert server.password
    assert server.password.get_secret_value() == "p@ss/:"
    assert not server.implicit_tls


@pytest.mark.parametrize(
    ("url", "port", "implicit_tls"),
    [
        ("smtp://mail.example.com", 587, False),
        ("smtps://mail.example.com", 465, True),
        ("smtps://mail.example.com:2465/", 2465, True),
        ("SMTP://mail.example.com", 587, False),
    ],
)
def test_ports_and_encryption_follow_the_scheme(url: str, port: int, implicit_tls: bool) -> None:
    server = SmtpServer.from_url(url)
    assert (server.port, server.implicit_tls) == (port, implicit_tls)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example.com", StartTls.AUTO),
        ("smtp://a:b@mail.example.com", StartTls.REQUIRE),
        ("smtp://a:b@127.0.0.1:1025", StartTls.AUTO),
        ("smtp://a:b@[::1]:1025", StartTls.AUTO),
        ("smtp://a:b@localhost", StartTls.AUTO),
        ("smtp://a:b@localhost.example.com", StartTls.REQUIRE),
        ("smtp://a:b@mail.example.com?starttls=never", StartTls.NEVER),
        ("smtp://a:b@mail.example.com?starttls=auto", StartTls.AUTO),
        ("smtp://mail.example.com/?starttls=require", StartTls.REQUIRE),
        ("smtps://a:b@mail.example.com", StartTls.NEVER),
    ],
)
def test_a_password_crosses_the_network_in_the_clear_only_if_asked_to(
    url: str, expected: StartTls
) -> None:
    assert SmtpServer.from_url(url).starttls is expected


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("", "neither smtp"),
        ("mail.example.com:25", "neither smtp"),
        ("http://ann:s3cret@mail.example.com", "neither smtp"),
        ("smtp://ann:s3cret@", "no host"),
        ("smtp://ann:s3cret@mail.example.com:port", "numeric port"),
        ("smtp://ann:s3cret@mail.example.com:99999", "numeric port"),
        ("smtp://ann:s3cret#1@mail.example.com", "numeric port"),
        ("smtp://ann:1/s3cret@mail.example.com", "percent-encode"),
        ("smtp://ann@mail.example.com", "without a password"),
        ("smtp://ann:s3cret@mail.example.com?starttls=perhaps", "auto, require or never"),
        ("smtp://ann:s3cret@mail.example.com?tls=1", "no option but starttls"),
        ("smtp://ann:s3cret@[mail", "numeric port"),
    ],
)
def test_a_wrong_url_is_refused_by_its_setting(url: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        SmtpServer.from_url(url)
    assert "FIXLIFY_SMTP_URL" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_server_shown_shows_no_password() -> None:
    server = SmtpServer.from_url("smtp://ann:s3cret@mail.example.com")
    assert "s3cret" not in f"{server} {server!r}"
    assert str(server) == "mail.example.com:587"
