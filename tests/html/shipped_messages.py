"""Every shipped message for sample facts in several locales, rendered once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from fixlify.domain.facts import Client, Facts, Job, Links, Organization
from fixlify.rendering import (
    RenderedEmail,
    RenderedSms,
    render_email,
    render_sms,
    shipped_templates,
)
from tests.unit.sample_facts import CLIENT, JOB, ORGANIZATION, facts

LOCALES: Final = ("en_US", "es_MX", "fr_CA", "de_DE")

_LINKS: Final = Links(
    **{name: f"https://lakeside.example/{name}?a=1&b=2" for name in Links.model_fields}
)
_LOOK: Final[dict[str, Any]] = {
    "logo_url": "https://lakeside.example/logo.png",
    "brand_color": "#f2c14e",
    "address": "1 Main Street, Springfield",
}
_BARE: Final = Facts(
    organization=Organization(id=ORGANIZATION.id, name=ORGANIZATION.name),
    client=Client(id=CLIENT.id),
    job=Job(id=JOB.id, schedule_start=JOB.schedule_start),
    links=_LINKS,
)
_SUBJECTS: Final[Mapping[str, Facts]] = MappingProxyType(
    {
        "full": facts(organization=_LOOK).model_copy(update={"links": _LINKS}),
        "no link": facts(organization={"brand_color": "#000"}),
        "bare": _BARE,
        "hostile": facts(
            organization={
                **_LOOK,
                "brand_color": "red;}</style>",
                "website": "javascript:alert(1)",
            },
            client={
                "first_name": "<b onclick=x>\"'&</td></table>",
                "address": "}} %} {% {# \u202e",
            },
        ).model_copy(update={"links": _LINKS}),
    }
)


@cache
def shipped_messages() -> Mapping[str, RenderedEmail | RenderedSms]:
    """Return every message by what it is: template, subject, locale, channel.

    A message that needs a link its company has not got is refused, and not here.
    """
    messages: dict[str, RenderedEmail | RenderedSms] = {}
    for name, source in shipped_templates().items():
        for kind, subject in _SUBJECTS.items():
            for locale in LOCALES:
                about = subject.model_copy(
                    update={
                        "organization": subject.organization.model_copy(update={"locale": locale}),
                        "client": subject.client
                        and subject.client.model_copy(update={"locale": locale}),
                    }
                )
                title = f"{name}, {kind}, {locale}"
                try:
                    messages[f"{title}, email"] = render_email(
                        source, about, unsubscribe_url=f"https://lakeside.example/u/{UUID(int=9)}"
                    )
                    messages[f"{title}, sms"] = render_sms(source, about)
                except Exception as error:
                    if kind != "no link" or "'links." not in str(error):
                        raise AssertionError(f"{title}: {error}") from error
    return MappingProxyType(messages)


def shipped_pages() -> dict[str, str]:
    """Return the html of every shipped email by what it is."""
    return {
        title: message.html
        for title, message in shipped_messages().items()
        if isinstance(message, RenderedEmail) and message.html is not None
    }
