"""Settings fail loudly, name their variable, and keep secrets to themselves."""

from __future__ import annotations

import traceback

import pytest
from pydantic import SecretStr

from fixlify.domain.errors import ConfigurationError
from fixlify.settings import SECRETS, Settings, load_settings, variables

PASSWORD = "hunter2-swordfish"
URL = f"postgresql://fixlify:{PASSWORD}@127.0.0.1:5432/fixlify"


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in variables():
        monkeypatch.delenv(name, raising=False)


def test_one_variable_is_enough_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIXLIFY_DATABASE_URL", URL)
    settings = load_settings()
    assert settings.database_url.get_secret_value() == URL
    assert settings.temporal_address == "127.0.0.1:7233"
    assert settings.smtp_url is None
    assert not settings.sends_sms


def test_a_missing_variable_is_named_with_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match=r"^FIXLIFY_DATABASE_URL is not set; set it"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FIXLIFY_DATABASE_POOL_SIZE", "many"),
        ("FIXLIFY_DATABASE_POOL_SIZE", "1"),
        ("FIXLIFY_DATABASE_POOL_SIZE", "10000"),
        ("FIXLIFY_LOG_FORMAT", "xml"),
        ("FIXLIFY_LOG_LEVEL", "loud"),
        ("FIXLIFY_MAIL_FROM", "nobody"),
        ("FIXLIFY_MAIL_FROM", "Us <us@example.com>"),
        ("FIXLIFY_MAIL_FROM", "a@example.com\r\nBcc: b@example.com"),
    ],
)
def test_a_wrong_variable_is_named_with_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("FIXLIFY_DATABASE_URL", URL)
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as refused:
        load_settings()
    (line,) = str(refused.value).splitlines()
    assert line.startswith(f"{name}: ")
    assert line.endswith(f"(it is {value!r})")


def test_everything_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIXLIFY_LOG_LEVEL", "loud")
    monkeypatch.setenv("FIXLIFY_LOG_FORMAT", "xml")
    with pytest.raises(ConfigurationError) as refused:
        load_settings()
    assert {line.partition(":")[0].split()[0] for line in str(refused.value).splitlines()} == {
        "FIXLIFY_DATABASE_URL",
        "FIXLIFY_LOG_FORMAT",
        "FIXLIFY_LOG_LEVEL",
    }


def test_a_secret_is_in_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the message, nor anywhere in the traceback a log would keep."""
    monkeypatch.setenv("FIXLIFY_DATABASE_URL", f"mysql://root:{PASSWORD}@127.0.0.1/fixlify")
    with pytest.raises(ConfigurationError) as refused:
        load_settings()
    assert str(refused.value) == "FIXLIFY_DATABASE_URL: must start with postgresql://"
    assert PASSWORD not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_a_secret_is_in_no_listing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("FIXLIFY_DATABASE_URL", "postgresql://127.0.0.1/fixlify")
    monkeypatch.setenv(name, URL)
    settings = load_settings()
    shown = f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert PASSWORD not in shown


def test_the_secrets_are_the_variables_that_hold_passwords() -> None:
    """A new secret must be added to the list, or errors would show it."""
    secret = {
        str(field.validation_alias)
        for field in Settings.model_fields.values()
        if field.annotation in (SecretStr, SecretStr | None)
    }
    assert secret == SECRETS


def test_every_variable_says_what_it_is_for() -> None:
    assert all(variables().values())


@pytest.mark.parametrize(
    ("present", "enough"),
    [
        ({"TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_FROM_NUMBER"}, True),
        ({"TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_MESSAGING_SERVICE_SID"}, True),
        ({"TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"}, False),
        ({"TWILIO_ACCOUNT_SID", "TWILIO_FROM_NUMBER"}, False),
        ({"TWILIO_AUTH_TOKEN", "TWILIO_FROM_NUMBER"}, False),
    ],
)
def test_sms_needs_an_account_and_a_sender(
    monkeypatch: pytest.MonkeyPatch, present: set[str], enough: bool
) -> None:
    monkeypatch.setenv("FIXLIFY_DATABASE_URL", URL)
    for name in present:
        monkeypatch.setenv(name, "something")
    assert load_settings().sends_sms is enough


def test_the_environment_cannot_be_changed_under_a_running_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FIXLIFY_DATABASE_URL", URL)
    settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.log_level = "debug"  # type: ignore[misc]


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose files and shells pass empty ones on."""
    monkeypatch.setenv("FIXLIFY_DATABASE_URL", URL)
    monkeypatch.setenv("FIXLIFY_SMTP_URL", "")
    monkeypatch.setenv("FIXLIFY_DATABASE_POOL_SIZE", "")
    settings = load_settings()
    assert settings.smtp_url is None
    assert settings.database_pool_size == 10
