"""A template is judged before it is sent: what stops it, and what its readers would mind."""

from __future__ import annotations

import pytest

from fixlify.domain.automation import TemplateSource
from fixlify.rendering import shipped_templates
from fixlify.rendering.linting import Company, Finding, lint
from fixlify.rendering.samples import sample_facts

ANYBODY = Company("en_US", lambda locale: sample_facts(locale=locale))
UNLINKED = Company("en_US", lambda locale: sample_facts(locale=locale), frozenset())


def found(source: TemplateSource, company: Company = ANYBODY) -> list[Finding]:
    return lint(source, "en", company)


def sms(text: str, **translations: str) -> TemplateSource:
    return TemplateSource(
        sms=text,
        translations={locale: TemplateSource(sms=each) for locale, each in translations.items()},
    )


@pytest.mark.parametrize("name", sorted(shipped_templates()))
def test_nothing_stops_a_shipped_template(name: str) -> None:
    for company in (ANYBODY, UNLINKED):
        findings = lint(shipped_templates()[name], "en", company)
        assert not [finding for finding in findings if finding.is_error]


def test_what_cannot_be_compiled_is_an_error_with_its_line_and_language() -> None:
    (finding,) = found(sms("Hi", es="Hola\n{{ client.nmae }}"))
    assert (finding.place, finding.is_error) == ("es sms line 2", True)
    assert "did you mean 'client.name'?" in finding.message


def test_an_email_needs_a_subject_and_a_text() -> None:
    findings = found(TemplateSource(html="<p>Hi</p>"))
    assert [finding.place for finding in findings if finding.is_error] == ["subject", "text"]


def test_a_long_text_message_is_counted() -> None:
    (finding,) = found(sms("x" * 161))
    assert not finding.is_error
    assert "is 2 segments" in finding.message


def test_what_word_processors_write_is_named_with_what_to_write_instead() -> None:
    quote, dash, total = found(
        sms("Dear {{ client.first_name }}\nwe\u2019ll come \u2013" + "x" * 60)
    )
    assert quote.place == dash.place == "sms line 2"
    assert "\u2019' (right single quotation mark)" in quote.message
    assert 'write "\'"' in quote.message
    assert "write '-'" in dash.message
    assert "is 2 segments" in total.message
    assert "1 with those replaced" in total.message


def test_an_emoji_has_no_replacement() -> None:
    (finding,) = found(sms("Thanks \U0001f389"))
    assert "party popper" in finding.message
    assert "leave it out" in finding.message


def test_a_link_that_is_needed_and_not_set_is_an_error() -> None:
    (finding,) = found(sms("{{ links.review }}"), UNLINKED)
    assert finding.is_error
    assert "`fixlify organization set --link review=https://…`" in finding.message


def test_a_link_that_something_stands_in_for_is_a_warning() -> None:
    text = "{% if links.review %}{{ links.review }}{% else %}Reply.{% endif %}"
    (finding,) = found(sms(text), UNLINKED)
    assert not finding.is_error
    assert "is left out" in finding.message
    assert found(sms(text)) == []


def test_a_translation_without_a_part_is_an_error_and_a_missing_language_a_warning() -> None:
    half = TemplateSource(subject="Hi", text="Hi", sms="Hi")
    spanish = TemplateSource(subject="Hola", text="Hola")
    (missing,) = found(half.model_copy(update={"translations": {"es": spanish}}))
    assert (missing.place, missing.is_error) == ("es sms", True)

    german = Company("de_DE", lambda locale: sample_facts(locale=locale), frozenset())
    (finding,) = found(sms("Hi"), german)
    assert not finding.is_error
    assert "de_DE" in finding.message


def test_a_text_that_no_facts_could_fill_is_an_error() -> None:
    (finding,) = found(sms("{{ client.first_name }}" * 400))
    assert finding.is_error
    assert "even with every field filled in" in finding.message
