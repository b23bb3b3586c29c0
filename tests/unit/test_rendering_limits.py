"""A template cannot eat the processor, grow without end, or reach anything but facts."""

from __future__ import annotations

import pytest

from fixlify.domain.automation import TemplateSource
from fixlify.domain.errors import RenderError
from fixlify.domain.facts import Facts
from fixlify.rendering import check_template, render_email, render_sms
from tests.unit.sample_facts import facts


def sms(template: str, about: Facts | None = None) -> str:
    return render_sms(TemplateSource(sms=template), about or facts()).text


@pytest.mark.parametrize(
    "template",
    [
        "{{ client.__class__ }}",
        "{{ client['__class__'] }}",
        "{{ client.first_name.__class__.__mro__ }}",
        "{{ ''.__class__ }}",
        "{{ 'x'['__class__'] }}",
        "{{ client.first_name.format() }}",
        "{{ client.model_dump() }}",
        "{{ client.model_fields }}",
        "{{ loop.__class__ }}",
        "{% for t in client.tags %}{{ loop._iterable }}{% endfor %}",
        "{% for t in client.tags %}{{ t.upper }}{% endfor %}",
        "{{ self }}",
        "{{ _formats }}",
        "{{ client__first_name }}",
        "{{ range(9) }}",
        "{% for n in range(1000000000) %}x{% endfor %}",
        "{% for n in 1000000000 * 'x' %}x{% endfor %}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '%s' | format(1) }}",
        "{{ '{0.__class__}'.format(client) }}",
        "{{ cycler('a') }}",
        "{% set n = namespace() %}",
        "{% include 'x' %}",
        "{% import 'x' as x %}",
        "{% from 'x' import y %}",
        "{% extends 'x' %}",
        "{% block x %}{% endblock %}",
        "{% macro x() %}{% endmacro %}",
        "{% call x() %}{% endcall %}",
        "{% filter upper %}x{% endfilter %}",
        "{% set x %}y{% endset %}",
        "{% autoescape false %}x{% endautoescape %}",
        "{% with x = 1 %}{{ x }}{% endwith %}",
        "{{ 2 ** 9999999 }}",
        "{{ 'x' * 99999999 }}",
        "{{ 1 + 1 }}",
        "{{ -job.total }}",
        "{{ client.first_name[1:] }}",
        "{{ client.first_name | safe }}",
        "{{ client.tags | map('upper') }}",
        "{{ client.tags | _loop_over }}",
        "{{ {'a': 1} }}",
        "{{ client.first_name | truncate(*[1]) }}",
        "{% for x in client.tags recursive %}x{% endfor %}",
        "{% set client = 1 %}x",
        "{% set _formats = 1 %}x",
        "{% set client__first_name = 1 %}x",
        "{% set a, b = 1, 2 %}x",
        "{% for client in client.tags %}x{% endfor %}",
    ],
)
def test_what_no_message_needs_is_refused(template: str) -> None:
    with pytest.raises(RenderError, match=r"^sms( line 1)?: "):
        sms(template)
    assert check_template(TemplateSource(sms=template), channel="sms")


def test_loops_within_loops_are_counted_before_they_run() -> None:
    loop, end = "{% for a in client.tags %}", "{% endfor %}"
    assert sms(f"{loop}{{{{ a }}}} {end}")
    assert sms(f"{loop}{loop}x{end}{end}") == "xxxx"
    with pytest.raises(RenderError, match="does too much"):
        sms(f"{loop}{loop}{loop}x{end}{end}{end}")


def test_a_loop_ends_with_a_hundred_items() -> None:
    many = facts(client={"tags": tuple(str(n) for n in range(101))})
    with pytest.raises(RenderError, match="100 items"):
        sms("{% for tag in client.tags %}x{% endfor %}", many)


def test_texts_cannot_be_doubled_without_end() -> None:
    with pytest.raises(RenderError, match="10,000 characters"):
        sms("{% set x = '0123456789' %}" + "{% set x = x ~ x %}" * 60 + "{{ x }}")
    with pytest.raises(RenderError, match="10,000 characters"):
        sms("{% set x = '0123456789' %}" + "{% set x = [x, x] | join(x) %}" * 60 + "{{ x }}")


def test_a_value_of_endless_length_is_refused_by_name() -> None:
    with pytest.raises(RenderError, match=r"'job\.description' is longer than 10,000"):
        sms("{{ job.description | truncate(20) }}", facts(job={"description": "x" * 10_001}))


def test_a_text_message_has_a_most_number_of_segments() -> None:
    assert len(sms("{{ job.description }}", facts(job={"description": "x" * 1_530}))) == 1_530
    with pytest.raises(RenderError, match=r"^sms: comes out as 11 segments, and 10 is the most"):
        sms("{{ job.description }}", facts(job={"description": "x" * 1_531}))
    with pytest.raises(RenderError, match=r"11 segments.*leave out emoji"):
        sms("{{ job.description }}", facts(job={"description": "x" * 670 + "ł"}))


def test_a_text_message_has_a_longest_length() -> None:
    with pytest.raises(RenderError, match="longer than 1,600"):
        sms("{{ job.description }}", facts(job={"description": "x" * 1_601}))


def test_a_body_has_a_longest_length() -> None:
    long = facts(job={"description": "x" * 10_000})
    source = TemplateSource(subject="Hello", text="{{ job.description }}" * 27)
    with pytest.raises(RenderError, match="text: comes out longer than 262,144"):
        render_email(source, long)


@pytest.mark.parametrize(
    "template",
    [
        "{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}",
        "{{ " + "not " * 5_000 + "1 }}",
        "{% if true %}" * 200 + "x" + "{% endif %}" * 200,
        "{% for a in [1] %}" * 60 + "x" + "{% endfor %}" * 60,
        "{{ client.first_name" + " | upper" * 3_000 + " }}",
    ],
)
def test_endless_nesting_is_refused_and_breaks_nothing(template: str) -> None:
    with pytest.raises(RenderError, match=r"nested too deeply|does too much"):
        sms(template)


def test_an_endless_template_is_refused() -> None:
    with pytest.raises(RenderError, match="longer than 100,000"):
        sms("x" * 100_001)
