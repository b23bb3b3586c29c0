"""The settings tree: read once, at the edge of a process, and loud about what is wrong."""

from __future__ import annotations

from email.utils import parseaddr
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from fixlify.domain.errors import ConfigurationError, WebhookAddressError
from fixlify.domain.limits import LimitedChannel
from fixlify.domain.rules import MessageClass
from fixlify.domain.unsubscribing import SHORTEST_KEY, UnsubscribeLinks, keys_of
from fixlify.domain.webhooks import parse_target

SECRETS = frozenset(
    {
        "FIXLIFY_DATABASE_URL",
        "FIXLIFY_SMTP_URL",
        "FIXLIFY_SMTP_FALLBACK_URL",
        "FIXLIFY_LINK_SECRET",
        "FIXLIFY_CALLBACK_TOKEN",
        "TWILIO_AUTH_TOKEN",
    }
)
"""Settings whose values never appear in an error, a log line or a listing."""


class Settings(BaseSettings):
    """Everything a process needs to know; each field is one environment variable.

    Temporal's TLS files, API key and profiles are read by ``temporalio.envconfig`` from
    their own ``TEMPORAL_*`` variables.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        # A compose file passes what is not set as an empty text.
        env_ignore_empty=True,
    )

    database_url: Annotated[
        SecretStr,
        Field(
            validation_alias="FIXLIFY_DATABASE_URL",
            description="Postgres 15 or newer: postgresql://user:password@host:5432/database",
        ),
    ]
    temporal_address: Annotated[
        str,
        Field(
            validation_alias="TEMPORAL_ADDRESS",
            description="Temporal's gRPC address, host:port",
        ),
    ] = "127.0.0.1:7233"
    temporal_namespace: Annotated[
        str, Field(validation_alias="TEMPORAL_NAMESPACE", description="Temporal namespace")
    ] = "default"
    smtp_url: Annotated[
        SecretStr | None,
        Field(
            validation_alias="FIXLIFY_SMTP_URL",
            description="Mail server: smtp://user:password@host:587?starttls=require or smtps://…",
        ),
    ] = None
    smtp_fallback_url: Annotated[
        SecretStr | None,
        Field(
            validation_alias="FIXLIFY_SMTP_FALLBACK_URL",
            description="Second mail server, used while the first is out or throttles",
        ),
    ] = None
    email_at_most_once: Annotated[
        str,
        Field(
            validation_alias="FIXLIFY_EMAIL_AT_MOST_ONCE",
            description="Classes of email not sent again when nobody knows whether they left: "
            "marketing,transactional,urgent",
        ),
    ] = ""
    sms_certain_after: Annotated[
        int,
        Field(
            validation_alias="FIXLIFY_SMS_CERTAIN_AFTER",
            ge=40,
            le=3600,
            description="Seconds after which a text message in doubt, and not in Twilio's list, "
            "was surely never sent",
        ),
    ] = 120
    mail_from: Annotated[
        str,
        Field(
            validation_alias="FIXLIFY_MAIL_FROM",
            description="Sender address of every email; the company's name is put before it",
        ),
    ] = "automations@localhost"
    twilio_account_sid: Annotated[
        str | None,
        Field(validation_alias="TWILIO_ACCOUNT_SID", description="Twilio account, AC…"),
    ] = None
    twilio_auth_token: Annotated[
        SecretStr | None,
        Field(validation_alias="TWILIO_AUTH_TOKEN", description="Twilio auth token"),
    ] = None
    twilio_from_number: Annotated[
        str | None,
        Field(
            validation_alias="TWILIO_FROM_NUMBER",
            description="Sending number in E.164, such as +15551234567",
        ),
    ] = None
    twilio_messaging_service_sid: Annotated[
        str | None,
        Field(
            validation_alias="TWILIO_MESSAGING_SERVICE_SID",
            description="Messaging service, MG…, instead of a sending number",
        ),
    ] = None
    twilio_fallback_from_number: Annotated[
        str | None,
        Field(
            validation_alias="TWILIO_FALLBACK_FROM_NUMBER",
            description="Second sending number, used while the first is out or throttles",
        ),
    ] = None
    twilio_base_url: Annotated[
        str | None,
        Field(
            validation_alias="TWILIO_BASE_URL",
            description="Where Twilio's API is; set only to talk to a stand-in",
        ),
    ] = None
    webhook_stand_in: Annotated[
        str | None,
        Field(
            validation_alias="FIXLIFY_WEBHOOK_STAND_IN",
            description="Where every webhook goes instead of its own address; set only to try",
        ),
    ] = None
    public_url: Annotated[
        str | None,
        Field(
            validation_alias="FIXLIFY_PUBLIC_URL",
            description="Where the HTTP API is reached from outside: https://automations.example.com",
        ),
    ] = None
    link_secret: Annotated[
        SecretStr | None,
        Field(
            validation_alias="FIXLIFY_LINK_SECRET",
            min_length=16,
            description="Key that signs the unsubscribe links in emails: any long random text; "
            "after a comma, older ones that are still believed",
        ),
    ] = None
    callback_token: Annotated[
        SecretStr | None,
        Field(
            validation_alias="FIXLIFY_CALLBACK_TOKEN",
            min_length=16,
            description="Token with which a mail system reports bounces; any long random text",
        ),
    ] = None
    email_rate: Annotated[
        float | None,
        Field(
            validation_alias="FIXLIFY_EMAIL_RATE",
            gt=0,
            le=10_000,
            description="Emails a second, all workers together",
        ),
    ] = None
    sms_rate: Annotated[
        float | None,
        Field(
            validation_alias="FIXLIFY_SMS_RATE",
            gt=0,
            le=10_000,
            description="Text messages a second, all workers together",
        ),
    ] = None
    send_at_once: Annotated[
        bool,
        Field(
            validation_alias="FIXLIFY_SEND_AT_ONCE",
            description="Whether a message without a rate is tried before it joins its queue",
        ),
    ] = True
    database_pool_size: Annotated[
        int,
        Field(
            validation_alias="FIXLIFY_DATABASE_POOL_SIZE",
            ge=2,
            le=200,
            description="Database connections one process may hold",
        ),
    ] = 10
    http_host: Annotated[
        str,
        Field(
            validation_alias="FIXLIFY_HTTP_HOST",
            min_length=1,
            description="Address the HTTP API listens on; 0.0.0.0 for every one",
        ),
    ] = "127.0.0.1"
    http_port: Annotated[
        int,
        Field(
            validation_alias="FIXLIFY_HTTP_PORT",
            ge=0,
            le=65535,
            description="Port the HTTP API listens on; 0 for any free one",
        ),
    ] = 8080
    api_rate: Annotated[
        str,
        Field(
            validation_alias="FIXLIFY_API_RATE",
            pattern="^[1-9][0-9]{0,5}/(second|minute|hour)$",
            description="Requests that one API key, or one address without a key, may make",
        ),
    ] = "600/minute"
    log_format: Annotated[
        str,
        Field(
            validation_alias="FIXLIFY_LOG_FORMAT",
            pattern="^(console|json)$",
            description="console for people, json for machines",
        ),
    ] = "console"
    log_level: Annotated[
        str,
        Field(
            validation_alias="FIXLIFY_LOG_LEVEL",
            pattern="^(debug|info|warning|error)$",
            description="debug, info, warning or error",
        ),
    ] = "info"

    @field_validator("database_url")
    @classmethod
    def _is_postgres(cls, url: SecretStr) -> SecretStr:
        scheme = url.get_secret_value().partition("://")[0]
        if scheme not in {"postgresql", "postgres", "postgresql+psycopg"}:
            raise ValueError("must start with postgresql://")
        return url

    @field_validator("mail_from")
    @classmethod
    def _is_an_address(cls, address: str) -> str:
        name, parsed = parseaddr(address)
        if name or parsed != address or "@" not in parsed:
            raise ValueError("must be a bare address such as hello@example.com")
        return address

    @field_validator("webhook_stand_in")
    @classmethod
    def _is_an_address_on_the_web(cls, url: str | None) -> str | None:
        if url is not None:
            try:
                parse_target(url, is_stand_in=True)
            except WebhookAddressError as error:
                raise ValueError(str(error)) from error
        return url

    @field_validator("email_at_most_once")
    @classmethod
    def _are_classes(cls, names: str) -> str:
        unknown = _names(names) - set(MessageClass)
        if unknown:
            raise ValueError(f"takes {', '.join(MessageClass)}, separated by commas")
        return names

    @field_validator("public_url")
    @classmethod
    def _is_a_root(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise ValueError("must be an address such as https://automations.example.com")
        return url.rstrip("/")

    @field_validator("link_secret")
    @classmethod
    def _is_hard_to_guess(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and any(
            len(key) < SHORTEST_KEY for key in keys_of(secret.get_secret_value())
        ):
            raise ValueError(f"each key must have at least {SHORTEST_KEY} characters")
        return secret

    @property
    def channels_tried_at_once(self) -> frozenset[LimitedChannel]:
        """The channels whose messages are tried before they take a place in their queue."""
        if not self.send_at_once:
            return frozenset()
        rates = {LimitedChannel.EMAIL: self.email_rate, LimitedChannel.SMS: self.sms_rate}
        return frozenset(channel for channel, rate in rates.items() if rate is None)

    @property
    def email_classes_at_most_once(self) -> frozenset[MessageClass]:
        """The classes of email that are not sent again in doubt."""
        return frozenset(map(MessageClass, _names(self.email_at_most_once)))

    @property
    def unsubscribe_links(self) -> UnsubscribeLinks:
        """The links that the settings make."""
        secret = self.link_secret.get_secret_value() if self.link_secret else None
        return UnsubscribeLinks(self.public_url, secret)

    @property
    def sends_sms(self) -> bool:
        """Whether enough of Twilio is configured to send."""
        return bool(
            self.twilio_account_sid
            and self.twilio_auth_token
            and (self.twilio_from_number or self.twilio_messaging_service_sid)
        )


def _names(listed: str) -> set[str]:
    return {name.strip() for name in listed.split(",") if name.strip()}


def load_settings() -> Settings:
    """Return the settings of this process's environment.

    Raises:
        ConfigurationError: With one line per variable that is missing or wrong.
    """
    try:
        return Settings()  # the environment is the argument
    except ValidationError as error:
        raise ConfigurationError("\n".join(_explain(error))) from None


def _explain(error: ValidationError) -> list[str]:
    lines = []
    for details in error.errors(include_url=False):
        name = str(details["loc"][0])
        if details["type"] == "missing":
            lines.append(f"{name} is not set; set it, or start the embedded stack (fixlify dev)")
            continue
        shown = "" if name in SECRETS else f" (it is {details['input']!r})"
        lines.append(f"{name}: {details['msg'].removeprefix('Value error, ')}{shown}")
    return lines


def variables() -> dict[str, str]:
    """Return every environment variable that is read, with one line on what it is for."""
    return {
        str(field.validation_alias): field.description or ""
        for field in Settings.model_fields.values()
    }
