"""A wrong template is refused before it is stored, with the place and the nearest right word."""

from __future__ import annotations

import pytest

from fixlify.domain.automation import TemplateSource
from fixlify.rendering import check_template


def problems(template: str) -> list[str]:
    source = TemplateSource(subject="Hello", text=template)
    return [str(problem) for problem in check_template(source, channel="email")]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (
            "Hi\n\n{{ client.frist_name }}",
            "text line 3: unknown variable 'client.frist_name'; did you mean 'client.first_name'?",
        ),
        (
            "{{ clientname }}",
            "text line 1: unknown variable 'clientname'; did you mean 'client_name'?",
        ),
        (
            "{{ job.totl | money }}",
            "text line 1: unknown variable 'job.totl'; did you mean 'job.total'?",
        ),
        (
            "{{ client.address.city }}",
            "text line 1: unknown variable 'client.address.city'; did you mean 'client.address'?",
        ),
        ("{{ job.total | mony }}", "text line 1: unknown filter 'mony'; did you mean 'money'?"),
        (
            "{% if job.id is defind %}x{% endif %}",
            "text line 1: unknown test 'defind'; did you mean 'defined'?",
        ),
        (
            "{{ client.name | date }}",
            "text line 1: 'date' needs a date and time, 'client.name' is text",
        ),
        ("{{ job.id | money }}", "text line 1: 'money' needs an amount, 'job.id' is text"),
        ("{{ job.title | join }}", "text line 1: 'join' needs a list, 'job.title' is text"),
        (
            "{{ job.schedule_start | date('huge') }}",
            "text line 1: 'date' takes one of full, long, medium, short",
        ),
        (
            "{{ invoice.due_date | time }}",
            "text line 1: 'time' needs a date and time, 'invoice.due_date' is a date",
        ),
        (
            "{{ invoice.days_overdue | money }}",
            "text line 1: 'money' needs an amount, 'invoice.days_overdue' is a number",
        ),
        (
            "{{ event.after | date }}",
            "text line 1: 'date' needs a date and time, 'event.after' is text, a number, or yes "
            "or no",
        ),
        (
            "{{ event.orderNumber }}",
            "text line 1: unknown variable 'event.orderNumber'; the key of an event is lower-case "
            "letters, digits and '_'",
        ),
        ("{{ job.title | upper(1) }}", "text line 1: 'upper' does not take these arguments"),
        (
            "{{ job.title | default(fallbck='x') }}",
            "text line 1: 'default' does not take these arguments",
        ),
        (
            "{{ client.email_opted_out }}",
            "text line 1: 'client.email_opted_out' is yes or no; ask for it with {% if %}",
        ),
        (
            "{{ job.total * 2 }}",
            "text line 1: templates do not calculate; give the result in the facts",
        ),
        ("Hi {{client_name}", "text line 1: unexpected '}'"),
        ("Hi client_name}}", "text line 1: '}}' would be sent as it stands; complete or remove it"),
        (
            "Hi {{{client_name}}}",
            "text line 1: write two braces, as in {{ client.name }}, not three",
        ),
        (
            "{% for tag in client.tags %}\n{{ loop.indx }}{% endfor %}",
            "text line 2: unknown variable 'loop.indx'; did you mean 'loop.index'?",
        ),
        (" \n", "text: is empty; write what it is to say"),
    ],
)
def test_a_mistake_is_named_with_its_line(template: str, expected: str) -> None:
    assert problems(template) == [expected]


def test_a_group_is_not_a_variable() -> None:
    (problem,) = problems("{{ job }}")
    assert problem.startswith("text line 1: 'job' is not a variable by itself; write one of job.")
    (problem,) = problems("{% for field in company %}x{% endfor %}")
    assert "write one of company.address, company.email, company.name" in problem
    (problem,) = problems("{{ event }}")
    assert "write one of event.name, event.…" in problem


def test_any_key_an_event_may_have_is_accepted() -> None:
    assert problems("{{ event.name }} {{ event.a1__b | money }} {{ event['x'] | upper }}") == []
    assert problems("{{ event." + "x" * 63 + " }}") == []
    assert problems("{{ event." + "x" * 64 + " }}")
    assert problems("{{ event.data.name }}")


def test_every_mistake_is_found_at_once() -> None:
    found = problems("{{ a.b }}\n{{ job.titel | uper }}\n{% for x in jobs %}{{ y }}{% endfor %}")
    assert [problem.partition(":")[0] for problem in found] == [
        "text line 1",
        "text line 2",
        "text line 2",
        "text line 3",
        "text line 3",
    ]


def test_mistakes_hide_nowhere() -> None:
    assert problems("{% if false %}{{ nobody }}{% endif %}")
    assert problems("{{ client.name | default(nobody) }}")
    assert problems("{{ 'a' if nobody else 'b' }}")
    assert problems("{% if nobody is defined %}{{ nobody }}{% endif %}")
    assert problems("{{ [client.name, nobody] | join }}")


def test_names_a_template_sets_are_known_from_there_on() -> None:
    assert problems("{% set who = client.name %}{{ who }}") == []
    assert problems("{% for tag in client.tags if tag != 'vip' %}{{ tag }}{% endfor %}") == []
    assert (
        problems("{% if job.id %}{% set a = 'x' %}{% else %}{% set a = 'y' %}{% endif %}{{ a }}")
        == []
    )
    assert problems("{{ who }}{% set who = client.name %}")
    assert problems("{% for tag in client.tags %}x{% endfor %}{{ tag }}")
    assert problems("{{ loop.index }}")


def test_a_name_set_by_the_template_is_suggested() -> None:
    assert problems("{% set greeting = 'Hi' %}{{ greetin }}") == [
        "text line 1: unknown variable 'greetin'; did you mean 'greeting'?"
    ]


def test_a_part_the_channel_needs_is_missed() -> None:
    letter = TemplateSource(subject="Hello", text="Hello")
    assert check_template(letter, channel="email") == []
    (problem,) = check_template(letter, channel="sms")
    assert str(problem) == "sms: is missing, and no text message goes without; add it"
    found = check_template(TemplateSource(html="<p>Hello</p>", sms="Hello"), channel="email")
    assert [problem.path for problem in found] == ["subject", "text"]


def test_only_the_parts_of_the_channel_count() -> None:
    source = TemplateSource(subject="{{ no }}", text="{{ no }}", html="{{ no }}", sms="Hello")
    assert check_template(source, channel="sms") == []
    found = check_template(source, channel="email")
    assert [problem.path for problem in found] == ["subject line 1", "text line 1", "html line 1"]


def test_closing_braces_belong_in_a_style_sheet() -> None:
    style = "<style>@media print{p{color:red}}</style><p>{{ client.name }}</p>"
    source = TemplateSource(subject="Hello", text="Hello", html=style)
    assert check_template(source, channel="email") == []
