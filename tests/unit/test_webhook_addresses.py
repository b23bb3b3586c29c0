"""Where a webhook may go, as far as its URL tells."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

import pytest
from standardwebhooks import Webhook

from fixlify.domain.automation import parse_definition
from fixlify.domain.errors import DefinitionError, WebhookAddressError
from fixlify.domain.ids import new_id
from fixlify.domain.webhooks import (
    WebhookTarget,
    delivery_webhook_id,
    is_public,
    new_secret,
    parse_target,
    step_webhook_id,
)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://hooks.example.com", WebhookTarget("https", "hooks.example.com", 443, "/")),
        (
            "HTTPS://Hooks.Example.com.:8443/a/b?token=1&x=%20",
            WebhookTarget("https", "hooks.example.com", 8443, "/a/b?token=1&x=%20"),
        ),
        ("https://8.8.8.8/x", WebhookTarget("https", "8.8.8.8", 443, "/x")),
        ("https://[2606:4700::1111]/", WebhookTarget("https", "2606:4700::1111", 443, "/")),
        (
            "https://xn--bcher-kva.example/",
            WebhookTarget("https", "xn--bcher-kva.example", 443, "/"),
        ),
    ],
)
def test_a_url_is_taken_apart_once_and_called_by_its_parts(url: str, target: WebhookTarget) -> None:
    assert parse_target(url) == target


def test_the_host_header_names_an_unusual_port_and_brackets_an_ipv6_address() -> None:
    assert parse_target("https://hooks.example.com/").authority == "hooks.example.com"
    assert parse_target("https://hooks.example.com:8443/").authority == "hooks.example.com:8443"
    assert parse_target("https://[2606:4700::1111]/").authority == "[2606:4700::1111]"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://hooks.example.com/", "goes over https"),
        ("ftp://hooks.example.com/", "https://host/path"),
        ("hooks.example.com/x", "https://host/path"),
        ("https:///x", "https://host/path"),
        ("https://", "https://host/path"),
        ("", "visible ASCII"),
        ("https://hooks.example.com:99999/", "no URL"),
        ("https://hooks.example.com:x/", "no URL"),
        ("https://[::1/", "no URL"),
        ("https://hooks.example.com:22/", "not 22"),
        ("https://hooks.example.com:80/", "not 80"),
        ("https://hooks.example.com:0/", "not 0"),
        ("https://user:password@hooks.example.com/", "no user or password"),
        ("https://user@hooks.example.com/", "no user or password"),
        ("https://hooks.example.com/#top", "'#'"),
        ("https://hooks.example.com\\@127.0.0.1/", "visible ASCII"),
        ("https://hooks.example.com/a b", "percent-encode"),
        ("https://hooks.example.com/a\r\nX-Evil: 1", "percent-encode"),
        ("https://bücher.example/", "percent-encode"),
        ("https://hooks_.-x.example.com/", "no host name"),
        ("https://hooks..example.com/", "no host name"),
        ("https://%6cocalhost/", "no host name"),
        ("https://localhost/", "private network"),
        ("https://LOCALHOST./", "private network"),
        ("https://a.localhost/", "private network"),
        ("https://intranet/", "private network"),
        ("https://metadata.google.internal/", "private network"),
        ("https://printer.local/", "private network"),
        ("https://127.0.0.1/", "not a public address"),
        ("https://127.1/", "spelled oddly"),
        ("https://2130706433/", "spelled oddly"),
        ("https://0x7f000001/", "spelled oddly"),
        ("https://0x7f.0.0.0x1/", "spelled oddly"),
        ("https://0177.0.0.1/", "spelled oddly"),
        ("https://10.0.0.1/", "not a public address"),
        ("https://169.254.169.254/latest/meta-data", "not a public address"),
        ("https://[::1]/", "not a public address"),
        ("https://[::ffff:127.0.0.1]/", "not a public address"),
        ("https://[fe80::1%25eth0]/", "not a public address"),
    ],
)
def test_a_url_that_no_webhook_may_go_to_is_refused_with_what_to_change(
    url: str, says: str
) -> None:
    with pytest.raises(WebhookAddressError) as refused:
        parse_target(url)
    assert says in str(refused.value)


def test_no_refusal_quotes_a_path_or_a_password() -> None:
    for url in ("http://u:p4ss@hooks.example.com/T0KEN", "https://10.0.0.1/T0KEN?k=T0KEN"):
        with pytest.raises(WebhookAddressError) as refused:
            parse_target(url)
        assert "T0KEN" not in str(refused.value)
        assert "p4ss" not in str(refused.value)


def test_a_stand_in_may_be_on_this_machine_and_without_tls() -> None:
    target = parse_target("http://127.0.0.1:9000/hooks", is_stand_in=True)
    assert target == WebhookTarget("http", "127.0.0.1", 9000, "/hooks")
    with pytest.raises(WebhookAddressError):
        parse_target("unix:/run/x", is_stand_in=True)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",  # noqa: S104 - nobody listens there
        "10.1.2.3",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::127.0.0.1",
        "64:ff9b::a00:1",
        "64:ff9b:1::8.8.8.8",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:808:808::",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
def test_no_address_of_a_machine_or_a_private_network_is_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "100.63.255.255",
        "172.32.0.1",
        "2606:4700::1111",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
    ],
)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))


def step(**changes: Any) -> dict[str, Any]:
    return {
        "name": "Tell the books",
        "trigger": {"type": "job_completed"},
        "steps": [{"type": "call_webhook", "url": "https://hooks.example.com/x"} | changes],
    }


@pytest.mark.parametrize(
    ("changes", "place", "says"),
    [
        ({"url": "http://hooks.example.com/"}, "steps[0].url", "goes over https"),
        ({"url": "https://10.0.0.1/"}, "steps[0].url", "not a public address"),
        ({"fields": ["job.totel"]}, "steps[0].fields", "did you mean 'job.total'"),
        ({"timeout": "31s"}, "steps[0].timeout", "30s"),
    ],
)
def test_a_step_that_could_not_be_carried_out_is_refused_with_its_place(
    changes: dict[str, Any], place: str, says: str
) -> None:
    with pytest.raises(DefinitionError) as refused:
        parse_definition("test.yaml", step(**changes))
    (problem,) = refused.value.problems
    assert problem.path == place
    assert says in problem.message


def test_a_secret_can_sign_and_is_never_the_same() -> None:
    secret = new_secret()
    assert secret.startswith("whsec_")
    assert secret != new_secret()
    at = datetime(2026, 11, 22, tzinfo=UTC)
    assert Webhook(secret).sign("msg_1", at, "{}") != Webhook(new_secret()).sign("msg_1", at, "{}")


def test_every_attempt_has_the_id_of_the_first_and_no_other_step_has_it() -> None:
    execution = new_id()
    assert step_webhook_id(execution, "tell") == step_webhook_id(execution, "tell")
    assert step_webhook_id(execution, "tell") != step_webhook_id(execution, "tell-2")
    assert step_webhook_id(execution, "tell") != step_webhook_id(new_id(), "tell")
    # It stands before the first full stop of what is signed.
    assert "." not in step_webhook_id(execution, "tell") + delivery_webhook_id(execution)
