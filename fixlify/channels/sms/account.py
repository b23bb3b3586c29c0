"""Whose Twilio account sends, and as which number."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import SecretStr

from fixlify.channels.sms.codes import NUMBER_SETTING
from fixlify.domain.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class TwilioAccount:
    """One account, with a sending number, a messaging service that picks one, or both.

    Attributes:
        account_sid: ``AC…``.
        auth_token: its password; never shown.
        from_number: E.164, or an alphanumeric sender where the country allows one.
        messaging_service_sid: ``MG…``.
        base_url: where the API is, for a stand-in; None is Twilio.
        number_setting: the variable that the number comes from, for errors to name.
    """

    account_sid: str
    auth_token: SecretStr
    from_number: str | None = None
    messaging_service_sid: str | None = None
    base_url: str | None = None
    number_setting: str = NUMBER_SETTING

    def __post_init__(self) -> None:
        """Refuse an account that could never send.

        Raises:
            ConfigurationError: Naming the setting that is missing.
        """
        if not self.account_sid or not self.auth_token.get_secret_value():
            raise ConfigurationError("set both TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN")
        if not self.from_number and not self.messaging_service_sid:
            raise ConfigurationError("set TWILIO_FROM_NUMBER or TWILIO_MESSAGING_SERVICE_SID")
