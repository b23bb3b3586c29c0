"""Templates become messages: variables, empty fields, and what data cannot do."""

from __future__ import annotations

import pytest

from fixlify.domain.automation import TemplateSource
from fixlify.domain.errors import RenderError
from fixlify.domain.facts import ORIGIN_ALIASES, Facts
from fixlify.rendering import render_email, render_sms, speaks_of_event
from tests.unit.sample_facts import ORGANIZATION, facts


def sms(template: str, about: Facts | None = None) -> str:
    return render_sms(TemplateSource(sms=template), about or facts()).text


def html(template: str, about: Facts | None = None) -> str:
    source = TemplateSource(subject="Hello", text="Hello", html=template)
    return render_email(source, about or facts()).html or ""


def subject(template: str, about: Facts | None = None) -> str:
    return render_email(TemplateSource(subject=template, text="Hello"), about or facts()).subject


def test_a_variable_is_replaced_by_its_fact() -> None:
    assert sms("Hi {{ client.first_name }}, {{job.title}} is done.") == (
        "Hi Maria, Kitchen faucet repair is done."
    )


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{client_name}}", "Maria Lopez"),
        ("{{client.firstName}}", "Maria"),
        ("{{ client['firstName'] }}", "Maria"),
        ("{{job_status}}", "completed"),
        ("{{job_number}}", "J-2019"),
        ("{{company.name}}", "Lakeside Plumbing"),
        ("{{scheduled_date}}", "November 26, 2026"),
        ("{{scheduled_time}}", "10:00 AM"),
        ("{{job.scheduledDate}}", "November 26, 2026"),
        ("{{scheduled_date | time}}", "10:00 AM"),
        ("{{scheduled_date | default('soon')}}", "November 26, 2026"),
        ("${{job_total}}", "$1,250.50"),
        ("{{invoice_number}} {{invoice.invoiceNumber}}", "INV-77 INV-77"),
        ("${{invoice_total}} ${{invoice.total}}", "$1,250.50 $1,250.50"),
        ("${{amount_due}}", "$1,000.00"),
        ("{{due_date}}", "November 12, 2026"),
        ("{{invoice.dueDate | date('short')}}", "11/12/26"),
        ("{{estimate_number}}", "E-31"),
        ("${{payment_amount}} on {{payment_date}}", "$250.50 on November 20, 2026"),
        ("{{task.dueDate}}", "November 27, 2026"),
    ],
)
def test_names_of_the_replaced_system_still_work(template: str, expected: str) -> None:
    assert sms(template) == expected


@pytest.mark.parametrize("alias", sorted(ORIGIN_ALIASES))
def test_every_name_of_the_replaced_system_is_known(alias: str) -> None:
    assert sms("{{ " + alias + " | default('-') }}")


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ event.name }}", "review.submitted"),
        ("{{ event['order_number'] }}", "A-7"),
        ("{{ event.amount | money }}", "$250.00"),
        ("{{ event.stars }} of {{ event.most }}", "4.5 of 5"),
        ("{% if event.public %}shown{% endif %}", "shown"),
        ("{% if event.stars > 4 %}good{% endif %}", "good"),
        ("{{ event.reviewer | default('somebody') }}", "somebody"),
        ("{{ event.nothing | default('-') }}", "-"),
        ("{% if event.reviewer %}x{% else %}unknown{% endif %}", "unknown"),
    ],
)
def test_an_events_own_data_can_be_written_about(template: str, expected: str) -> None:
    event = {
        "name": "review.submitted",
        "order_number": "A-7",
        "amount": 250.0,
        "stars": 4.5,
        "most": 5,
        "public": True,
        "nothing": None,
    }
    assert sms(template, facts(event=event)) == expected


def test_what_an_event_does_not_have_cannot_be_printed() -> None:
    with pytest.raises(RenderError, match=r"'event\.reviewer' is empty.*default"):
        sms("{{ event.reviewer }}", facts(event={"name": "review.submitted"}))


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ event.public }}", "yes or no cannot be printed"),
        ("{{ event.order_number | money }}", "'money' needs an amount"),
    ],
)
def test_what_an_event_has_of_another_kind_is_refused(template: str, reason: str) -> None:
    with pytest.raises(RenderError, match=reason):
        sms(template, facts(event={"public": True, "order_number": "A-7"}))


@pytest.mark.parametrize(
    ("source", "speaks"),
    [
        (TemplateSource(sms="{{ client.name }} about an event"), False),
        (TemplateSource(subject="Hello", text="{% if event.stars > 4 %}x{% endif %}"), True),
        (TemplateSource(subject="{{ event.name | default('x') }}", text="Hello"), True),
        (TemplateSource(sms="{{ nobody }}"), False),
        (TemplateSource(), False),
    ],
)
def test_whether_a_template_speaks_of_the_event_is_known_before(
    source: TemplateSource, speaks: bool
) -> None:
    assert speaks_of_event(source) is speaks


def test_a_name_nobody_knows_is_refused_with_the_nearest() -> None:
    with pytest.raises(RenderError, match=r"sms line 2: .*frist_name.*'client\.first_name'"):
        sms("Hi\n{{ client.frist_name }}")


@pytest.mark.parametrize("empty", [None, "", "   ", "\x00"])
def test_an_empty_field_cannot_be_printed(empty: str | None) -> None:
    with pytest.raises(RenderError, match=r"text line 3: 'client\.company' is empty.*default") as e:
        render_email(
            TemplateSource(subject="Hello", text="Hi\n\n{{ client.company }}"),
            facts(client={"company": empty}),
        )
    assert "Maria" not in str(e.value)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ client.company | default('you') }}", "you"),
        ("{{ client.company | default('you', true) }}", "you"),
        ("{{ client.company | upper | default('you') }}", "you"),
        ("{{ client.company or 'you' }}", "you"),
        ("{{ client.company | default }}.", "."),
        ("{{ client.company | default(client.first_name) }}", "Maria"),
        ("{{ job.schedule_end | date | default('soon') }}", "soon"),
        ("{{ job.schedule_end | default('soon') | date }}", "soon"),
        ("{{ client.lead_source ~ '' if client.lead_source else 'none' }}", "none"),
        ("{% if client.company %}company{% else %}person{% endif %}", "person"),
        ("{% if client.company == none %}none{% endif %}", "none"),
        ("{% if client.company is defined %}some{% else %}none{% endif %}", "none"),
        ("{% if client.company is none %}none{% endif %}", "none"),
        ("{% if client.company == 'Acme' %}Acme{% else %}other{% endif %}", "other"),
        ("{% if client.company > 'A' or client.company <= 'A' %}x{% else %}no{% endif %}", "no"),
        ("{% if 'a' in client.company %}x{% else %}no{% endif %}", "no"),
        ("{% for letter in client.company %}x{% else %}no{% endfor %}", "no"),
        ("{{ client.company | length }}", "0"),
    ],
)
def test_an_empty_field_is_false_and_has_a_default(template: str, expected: str) -> None:
    assert sms(template, facts(client={"company": None})) == expected


def test_a_missing_technician_is_a_set_of_empty_fields() -> None:
    about = facts(technician=None)
    assert sms("{{ technician.name | default('Our team') }}", about) == "Our team"
    with pytest.raises(RenderError, match=r"'technician\.name' is empty"):
        sms("{{ technician_name }}", about)


def test_an_organization_alone_can_be_written_about() -> None:
    assert sms("{{ organization.name }}", Facts(organization=ORGANIZATION)) == "Lakeside Plumbing"


def test_lists_can_be_looped_over_joined_and_asked() -> None:
    assert sms("{% for tag in client.tags %}{{ loop.index }}:{{ tag }} {% endfor %}") == (
        "1:vip 2:maintenance plan"
    )
    assert sms("{{ client.tags | join(' + ') }}") == "vip + maintenance plan"
    assert sms("{{ client.tags }}") == "vip, maintenance plan"
    assert sms("{{ client.tags[0] }} {{ client.tags | last }}") == "vip maintenance plan"
    assert sms("{% if 'vip' in client.tags %}yes{% endif %}") == "yes"
    with pytest.raises(RenderError, match=r"'client\.tags' is empty"):
        sms("{{ client.tags }}", facts(client={"tags": ()}))


def test_names_can_be_set_and_texts_joined() -> None:
    assert sms("{% set who = client.first_name ~ ' of ' ~ client.address %}{{ who | upper }}") == (
        "MARIA OF 12 LAKE STREET"
    )


def test_data_is_escaped_in_html_and_only_there() -> None:
    about = facts(client={"first_name": "<script>alert('1')</script> & \"co\""})
    shown = html("<b>{{ client.first_name }}</b>{{ '<i>' ~ client.first_name }}", about)
    assert "<script>" not in shown
    assert "<i>" not in shown
    assert "<b>&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &#34;co&#34;" in shown
    assert sms("{{ client.first_name }}", about) == "<script>alert('1')</script> & \"co\""


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r", "\x0b", "\x0c", "\x85", "\u2028"])
def test_a_subject_is_one_line_whatever_the_data_says(line_break: str) -> None:
    about = facts(job={"title": f"Faucet{line_break}Bcc: everybody@example.com"})
    shown = subject("Done: {{ job.title }}\n", about)
    assert shown.splitlines() == [shown]
    assert shown.startswith("Done: Faucet")


def test_a_long_subject_is_cut() -> None:
    shown = subject("{{ job.title }}", facts(job={"title": "pipe " * 100}))
    assert len(shown) <= 200
    assert shown.endswith("pipe…")


def test_characters_nobody_can_see_or_send_are_left_out() -> None:
    about = facts(client={"first_name": "Ma\x00ri\ud800a\x1b\x7f", "address": "1\r\n2\u20283"})
    assert sms("{{ client.first_name }} {{ client.address }}{{ '\\x00' }}", about) == (
        "Maria 1\n2\n3"
    )


def test_braces_never_reach_a_person() -> None:
    about = facts(client={"first_name": "{{ job.id }}"})
    with pytest.raises(RenderError, match=r"sms: still has '\{\{' in it"):
        sms("Hi {{ client.first_name }}", about)
    with pytest.raises(RenderError, match="would be sent as it stands"):
        sms("{% raw %}Hi {{ client.first_name }}{% endraw %}")


@pytest.mark.parametrize(
    "template", ["{% if client.company %}{{ client.company }}{% endif %}", "{# a #}"]
)
def test_a_message_that_says_nothing_is_refused(template: str) -> None:
    with pytest.raises(RenderError, match="sms: comes out empty"):
        sms(template)


def test_a_missing_part_is_refused() -> None:
    with pytest.raises(RenderError, match="no subject"):
        render_email(TemplateSource(text="Hello"), facts())
    with pytest.raises(RenderError, match="no sms"):
        render_sms(TemplateSource(subject="Hello", text="Hello"), facts())


def test_an_email_without_html_stays_plain() -> None:
    assert render_email(TemplateSource(subject="Hello", text="Hello"), facts()).html is None


@pytest.mark.parametrize(
    "template",
    [
        "{% if job.schedule_start > client.first_name %}x{% endif %}y",
        "{{ client.tags | join(1) }}",
        "{{ none }}",
        "{{ true }}",
        "{{ (1, 2) | money }}",
        "{{ client.first_name | truncate(1) }}",
        "{% for letter in client.first_name %}{{ letter }}{% endfor %}",
    ],
)
def test_whatever_goes_wrong_is_a_render_error_without_data_in_it(template: str) -> None:
    with pytest.raises(RenderError) as caught:
        sms(template)
    assert "Maria" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_words_of_other_libraries_stay_out_of_it() -> None:
    with pytest.raises(RenderError) as caught:
        sms("Hi\n{% if job.schedule_start > client.first_name %}x{% endif %}")
    assert str(caught.value) == "sms line 2: does not fit together (TypeError)"
