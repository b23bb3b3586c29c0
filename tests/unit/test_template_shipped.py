"""The templates in the package are complete, correct and fit for whoever reads them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from html import unescape

import pytest

from fixlify.domain.automation import TemplateSource
from fixlify.domain.errors import NotFoundError
from fixlify.domain.facts import Client, Facts, Job, Links, Organization
from fixlify.domain.segments import segments_of
from fixlify.rendering import check_template, render_email, render_sms, resolve, shipped_templates
from fixlify.rendering.compiling import compile_part
from fixlify.rendering.grammar import Part
from fixlify.rendering.messages import render_part
from tests.unit.sample_facts import CLIENT, JOB, ORGANIZATION, TECHNICIAN, facts

NAMES = sorted(shipped_templates())
LOCALES = ("en_US", "es_MX", "fr_CA")
LANGUAGES = {"es", "fr"}

LINKS = Links(
    booking="https://lakeside.example/book",
    review="https://g.page/r/lakeside/review",
    payment="https://pay.example/INV-77",
    tracking="https://lakeside.example/t/J-2019",
    approval="https://lakeside.example/e/E-31",
)
REACHED = {
    "links.booking": {"maintenance-due", "missed-call", "visit-cancelled", "welcome", "win-back"},
    "links.review": {"review-request"},
    "links.payment": {"invoice-overdue", "invoice-overdue-final", "invoice-overdue-second"},
    "links.tracking": {"on-the-way"},
    "links.approval": {"estimate-follow-up"},
}
"""Where a client expects each link, and nowhere else."""

TOLD = ("Maria", "Kitchen faucet repair", "12 Lake Street", "INV-77", "E-31", "(312) 555-0100")
"""Facts that read the same in every language; a translation tells each where English does."""

ENGLISH = re.compile(
    r"\b(the|your|you|we|our|with|and|please|visit|thank|call|reply)\b", re.IGNORECASE
)
MARKETING = {"maintenance-due", "review-request", "welcome", "win-back"}


def full(locale: str) -> Facts:
    """Return everything that may be known, the technician's phone and all links included."""
    technician = TECHNICIAN.model_copy(update={"phone": "(312) 555-0177"})
    known = facts(organization={"locale": locale}, client={"locale": locale}, technician=technician)
    return known.model_copy(update={"links": LINKS})


def without_links(locale: str) -> Facts:
    return full(locale).model_copy(update={"links": Links(), "technician": None})


def bare(locale: str) -> Facts:
    """Return no more than whose message it is, and about what."""
    return Facts(
        organization=Organization(id=ORGANIZATION.id, name="Lakeside Plumbing", locale=locale),
        client=Client(id=CLIENT.id),
        job=Job(id=JOB.id),
    )


def nobody(locale: str) -> Facts:
    """Return the company alone: what is known of a caller who is no client."""
    return bare(locale).model_copy(update={"client": None, "job": None})


def rendered(name: str, about: Facts) -> Iterator[str]:
    """Yield each text of the template *name*, in the language of the facts, without a layout."""
    source = shipped_templates()[name].in_language_of(about.locale)
    email = render_email(source, about)
    html = render_part(Part.HTML, source.html or "", about)
    yield from (email.subject, email.text, html, render_sms(source, about).text)


def fields(source: TemplateSource, part: Part) -> set[str]:
    return set(compile_part(part, getattr(source, part)).fields.values())


def test_the_common_occasions_have_a_template() -> None:
    occasions = {"job-completed", "job-received", "on-the-way", "visit-scheduled", "welcome"}
    visits = {"visit-reminder", "visit-rescheduled", "visit-cancelled", "maintenance-due"}
    money = {"invoice-overdue", "payment-received", "estimate-follow-up"}
    assert occasions | visits | money | {"missed-call", "review-request", "win-back"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_template_has_every_part_and_no_mistake_in_each_language(name: str) -> None:
    english = shipped_templates()[name]
    assert set(english.translations) == LANGUAGES
    for source in (english, *english.translations.values()):
        assert source.subject
        assert source.text
        assert source.html
        assert source.sms
        assert check_template(source, channel="email") == []
        assert check_template(source, channel="sms") == []


@pytest.mark.parametrize("part", Part)
@pytest.mark.parametrize("name", NAMES)
def test_a_translation_speaks_of_the_same_things(name: str, part: Part) -> None:
    english = shipped_templates()[name]
    for source in english.translations.values():
        assert fields(source, part) == fields(english, part)


@pytest.mark.parametrize("locale", ["es_MX", "fr_CA"])
@pytest.mark.parametrize("name", NAMES)
def test_a_translation_tells_the_same_facts(name: str, locale: str) -> None:
    for english, translated in zip(
        rendered(name, full("en_US")), rendered(name, full(locale)), strict=True
    ):
        for fact in TOLD:
            assert (fact in translated) == (fact in english), fact


@pytest.mark.parametrize("name", NAMES)
def test_the_two_bodies_of_an_email_speak_of_the_same_things(name: str) -> None:
    english = shipped_templates()[name]
    assert fields(english, Part.TEXT) == fields(english, Part.HTML)


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize(
    "about", [full, without_links, bare, nobody], ids=["all", "no links", "bare", "nobody"]
)
@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_message_reads_well_whatever_is_known(
    name: str, about: Callable[[str], Facts], locale: str
) -> None:
    subject, text, html, sms = rendered(name, about(locale))
    for each in (subject, text, sms):
        _is_clean(each)
    blocks = re.sub(r"<[^>]+>", "\n", re.sub(r"</?strong>", "", html))
    _is_clean(re.sub(r"\s*\n\s*", "\n", unescape(blocks)).strip())
    for each in (text, html, sms):
        assert "Lakeside Plumbing" in each
    assert sms.startswith("Lakeside Plumbing")


def _is_clean(text: str) -> None:
    assert "None" not in text
    assert not re.search(r"[{}]|%}", text)
    assert "  " not in text
    assert "\n\n\n" not in text
    assert text == text.strip()
    for line in text.splitlines():
        assert line == line.strip()
        # French alone leaves a space before a colon and its like.
        assert not re.search(r"\s[,.)]|\(\s|\(\)|[,;:]\s*[,;.:]|[!?]\.|^[,.;:!?)]", line), line
        # "10:00 a.m." ends with a full stop of its own.
        assert not re.search(r"\.\.|\.\s*[,;:](?!$)", line), line
        assert not re.search(r"https?://\S*[.,;!)](\s|$)", line), line


@pytest.mark.parametrize("locale", ["es_MX", "fr_CA"])
@pytest.mark.parametrize("name", NAMES)
def test_a_translation_leaves_no_english(name: str, locale: str) -> None:
    for text in rendered(name, full(locale)):
        assert not ENGLISH.findall(re.sub(r"https?://\S+", "", text))


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_text_message_is_two_segments_at_most(name: str, locale: str) -> None:
    """None of its own letters turns it into one that is cut three times as small."""
    for month in range(1, 13):
        about = full(locale).model_copy(
            update={
                "job": JOB.model_copy(
                    update={"schedule_start": datetime(2026, month, 26, 16, 0, tzinfo=UTC)}
                )
            }
        )
        *_, sms = rendered(name, about)
        counted = segments_of(sms)
        assert counted.odd == (), sms
        assert counted.count <= 2, sms


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_text_message_is_one_segment(name: str) -> None:
    text = render_sms(shipped_templates()[name], facts()).text
    assert text.isascii()
    assert len(text) <= 160


@pytest.mark.parametrize("part", [Part.TEXT, Part.HTML, Part.SMS])
@pytest.mark.parametrize("link", sorted(REACHED))
def test_a_link_is_where_a_client_expects_it(link: str, part: Part) -> None:
    templates = shipped_templates()
    assert {name for name in NAMES if link in fields(templates[name], part)} == REACHED[link]


@pytest.mark.parametrize("name", NAMES)
def test_what_the_company_would_like_says_how_to_end_it_and_nothing_else_does(name: str) -> None:
    for locale in LOCALES:
        *_, sms = rendered(name, full(locale))
        assert ("STOP" in sms) == (name in MARKETING)


@pytest.mark.parametrize("name", NAMES)
def test_an_html_body_is_a_fragment_that_a_layout_wraps(name: str) -> None:
    english = shipped_templates()[name]
    for source in (english, *english.translations.values()):
        tags = set(re.findall(r"<(\w+)", source.html or ""))
        assert tags <= {"p", "strong", "a", "br", "table", "tr", "th", "td"}
        assert "style=" not in (source.html or "")
        for link in re.findall(r"<a [^>]*>", source.html or ""):
            assert re.fullmatch(r'<a class="button" href="\{\{ links\.\w+ \}\}">', link)


def test_the_thank_you_tells_the_total() -> None:
    email = render_email(shipped_templates()["job-completed"], facts())
    assert email.subject == "Thank you from Lakeside Plumbing: Kitchen faucet repair is complete"
    assert "Total: $1,250.50" in email.text
    assert "$1,250.50" in (email.html or "")
    free = render_email(shipped_templates()["job-completed"], facts(job={"total": None}))
    assert "Total" not in free.text


def test_the_reminder_of_an_invoice_tells_what_is_still_to_pay() -> None:
    email = render_email(shipped_templates()["invoice-overdue"], facts())
    assert email.subject == "A reminder from Lakeside Plumbing: your invoice INV-77 is overdue"
    assert "was due on November 12, 2026 and is still open" in email.text
    assert "Still to pay: $1,000.00" in email.text
    assert "$1,000.00" in (email.html or "")


def test_the_reminders_of_an_invoice_grow_firmer() -> None:
    asks = ["friendly reminder", "within the next few days", "our last reminder"]
    names = ["invoice-overdue", "invoice-overdue-second", "invoice-overdue-final"]
    for name, ask in zip(names, asks, strict=True):
        text = render_email(shipped_templates()[name], full("en_US")).text
        assert [each for each in asks if each in text] == [ask]
        assert "Pay here: https://pay.example/INV-77" in text


def test_the_thank_you_for_a_payment_tells_what_came_and_not_what_is_left() -> None:
    """Whether the invoice counts the payment yet is the business of whoever entered both."""
    text = render_email(shipped_templates()["payment-received"], facts()).text
    assert "Received: $250.50" in text
    assert "$1,000.00" not in text


def test_a_visit_is_told_in_the_clients_own_time() -> None:
    about = facts(client={"time_zone": "America/New_York"})
    assert "at 11:00 AM" in render_sms(shipped_templates()["visit-reminder"], about).text


def test_templates_are_found_by_name() -> None:
    found = resolve(["job-completed", "on-the-way"])
    assert list(found) == ["job-completed", "on-the-way"]
    assert found["job-completed"] is shipped_templates()["job-completed"]


def test_a_name_nobody_ships_is_refused_with_the_nearest() -> None:
    with pytest.raises(NotFoundError, match="did you mean 'job-completed'") as caught:
        resolve(["on-the-way", "job-complete"])
    assert caught.value.nearest == "job-completed"
