"""Texts of the replaced system become templates of ours, or are refused with their place."""

from __future__ import annotations

import re
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixlify.domain.automation import TemplateSource
from fixlify.domain.errors import RenderError
from fixlify.domain.facts.aliases import ORIGIN_ALIASES
from fixlify.rendering import render_email
from fixlify.rendering.grammar import Part
from fixlify.rendering.importing import MOST_PROBLEMS, convert
from fixlify.rendering.messages import render_part
from fixlify.rendering.plain_text import text_of
from fixlify.rendering.samples import sample_facts

FACTS = sample_facts()


def converted(source: str, part: Part = Part.TEXT) -> str:
    result = convert(part, source)
    assert result.problems == ()
    return result.text


def rendered(source: str, part: Part = Part.TEXT) -> str:
    return render_part(part, converted(source, part), FACTS)


def problems(source: str, part: Part = Part.TEXT) -> list[str]:
    return [str(problem) for problem in convert(part, source).problems]


@pytest.mark.parametrize(
    ("source", "ours"),
    [
        ("Hi {{client_name}}", "Hi {{ client.name }}"),
        ("Hi {{ client.firstName }}", "Hi {{ client.first_name }}"),
        ("Hi {client.firstName}", "Hi {{ client.first_name }}"),
        ("Hi {{Client Name}}", "Hi {{ client.name }}"),
        ("Hi {{{client_name}}}", "Hi {{ client.name }}"),
        ("Hi {{~client_name~}}", "Hi {{ client.name }}"),
        ("Hi ${client.firstName}", "Hi {{ client.first_name }}"),
        ("${job_total} ${{job_total}}", "${{ job.total }} ${{ job.total }}"),
        ("{{scheduled_time}}", "{{ job.schedule_start | time }}"),
        (
            "{{#if client_company}}a{{else}}b{{/if}}",
            "{% if client.company %}a{% else %}b{% endif %}",
        ),
        ("{{#unless job.total}}a{{/unless}}", "{% if not job.total %}a{% endif %}"),
        (
            "{{#if job_total}}a{{else if client_name}}b{{/if}}",
            "{% if job.total %}a{% elif client.name %}b{% endif %}",
        ),
        (
            "{{#each client.tags}}{{this}}{{#unless @last}}, {{/unless}}{{/each}}",
            "{% for item in client.tags %}{{ item }}"
            "{% if not loop.last %}, {% endif %}{% endfor %}",
        ),
        ("{{#client_company}}a{{/client_company}}", "{% if client.company %}a{% endif %}"),
        ("{{^client_company}}a{{/client_company}}", "{% if not client.company %}a{% endif %}"),
        ("a{{! a note }}b", "a{#  #}b"),
        ("%7B%7Breview_link%7D%7D", "{{ links.review }}"),
        ("{{ client.name | default('you') }}", "{{ client.name | default('you') }}"),
        (
            "{% for t in job.tags %}{{ t }}{% endfor %}",
            "{% for t in job.tags %}{{ t }}{% endfor %}",
        ),
    ],
)
def test_each_way_of_writing_is_converted(source: str, ours: str) -> None:
    assert converted(source) == ours


@pytest.mark.parametrize("alias", sorted(ORIGIN_ALIASES))
def test_every_name_of_the_replaced_system_says_what_it_said(alias: str) -> None:
    expected = rendered(f"{{{{{alias}}}}}")
    assert expected
    assert rendered(f"{{{alias}}}") == expected


def test_a_block_takes_its_own_line_away_and_no_other() -> None:
    source = "Dear {{#if client_name}}Maria{{/if}}\nnext\n{{#if client_name}}\nin\n{{/if}}\nout"
    assert rendered(source) == "Dear Maria\nnext\nin\nout"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("a\nHi {{clientNme}}", "text line 2: unknown variable 'clientNme'; did you mean"),
        ("a\n\n{client.frist_name}", "text line 3: '{client.frist_name}' would be sent as it"),
        ("a } b", "text line 1: '}' would be sent as it stands"),
        ('{"a": 1}', "text line 1: '{' would be sent as it stands"),
        ("{{client_name", "'{{' is never closed"),
        ("{{client_name}", "'{{' is never closed"),
        ("{{}}", "the braces hold nothing"),
        ("{{#if client_name}}a", "'if' is never closed; add {{/if}}"),
        ("{{/if}}", "'/if' closes nothing"),
        ("{{#if client_name}}{{#each client.tags}}{{/if}}{{/each}}", "'each' is open"),
        ("{{else}}", "'else' stands in no block"),
        ("{{> footer}}", "a template stands alone"),
        ("{{#each invoice.items}}{{name}}{{/each}}", "'invoice.items' is no list"),
        ("{{formatDate job.scheduledDate 'LL'}}", "'formatDate' is no filter"),
        ("{{#if (eq job.status 'done')}}a{{/if}}", "write {% if a == b %}"),
        ("{{#with client}}{{name}}{{/with}}", "'#with client' has no counterpart"),
        ("{% raw %}{{x}}{% endraw %}", "'raw' is not possible"),
        ("{{ '\\x7b' }}", "'\\' cannot stand between the braces"),
        ('{{ client.name | default("{x}") }}', "'{' cannot stand between the braces"),
        ("{{ client.name | shout }}", "unknown filter 'shout'"),
        ("{#if client}a{/if}", "'{#' is never closed"),
        ("%7B%7Bclient_name", "'%7B%7B' is half a variable"),
    ],
)
def test_what_cannot_be_converted_is_told_with_its_line(source: str, said: str) -> None:
    found = problems(source)
    assert any(said in problem for problem in found), found


def test_lines_keep_their_places() -> None:
    source = "{{! a\nnote }}\n{{\nclient_name\n}}\n{{#if\n job_total}}a{{/if}}\n{{nobody}}"
    assert problems(source)[0].startswith("text line 8: unknown variable 'nobody'")


def test_the_braces_of_a_stylesheet_survive() -> None:
    css = "@media(min-width:1px){#a{color:red}}.b{color:blue}"
    page = f"<html><head><style>{css}</style></head><body><p>{{{{client_name}}}}</p></body></html>"
    email = render_email(
        TemplateSource(subject="a", text="b", html=converted(page, Part.HTML)), FACTS
    )
    assert email.html is not None
    assert "(min-width:1px){ #a{color:red}}.b{color:blue}" in email.html
    assert "<p>Maria Lopez</p>" in email.html


def test_braces_that_an_editor_encoded_are_braces() -> None:
    assert "Maria" in rendered("<p>&#123;&#123;client_name&#125;&#x7D;</p>", Part.HTML)
    assert "Maria" in rendered("<p>{{&nbsp;client_name&nbsp;}}</p>", Part.HTML)
    split = problems("<p>{{<b>client_name</b>}}</p>", Part.HTML)
    assert split == ["html line 1: formatting runs through the braces; write the name in one piece"]


def test_what_was_put_in_raw_is_escaped() -> None:
    facts = FACTS.model_copy(
        update={"client": FACTS.client and FACTS.client.model_copy(update={"first_name": "<b>"})}
    )
    text = converted("<p>{{{client_first_name}}}</p>", Part.HTML)
    assert "&lt;b&gt;" in render_part(Part.HTML, text, facts)


_WRITTEN: Final = """
{ | } | {{ | }} | {{{ | }}} | {% | %} | {# | #} | ~ | > | \\ | ' | " | ( | $ | %7B%7B | %7D%7D
&#123; | &lbrace; | &rcub; | client_name | {{client_name}} | {client.firstName} | {{job.total}}
{nobody} | {{nobody}} | this | {{@last}} | {{#if client_name}} | {{else}} | {{else if job_total}}
{{/if}} | {{#unless job_total}} | {{/unless}} | {{#each client.tags}} | {{this}} | {{/each}} | {{^}}
{{!-- x --}} | {{! } }} | {{> x}} | {{&client_name}} | {% if client.name %} | {% endif %}
{% raw %} | {% endraw %} | {{ '\\x7b' }} | {{ "{" }} | {{ client.name | default('{') }}
{% for t in job.tags %} | {% endfor %} | {% set a = '{' %} | {% set b = 'x' %} | {{ b }}
<style> | </style> | <p> | </p> | <b> | --> | <!-- | a{b:c} | #a | 1 | x
"""
_PIECES: Final = [*re.split(r" \| |\n", _WRITTEN.strip()), "\n", " "]
# Whole blocks around anything, so that some mixtures are templates.
_BLOCK: Final = st.builds(
    "{}{}{}".format,
    st.sampled_from(["{{#if client_name}}", "{{#unless job_total}}", "a "]),
    st.sampled_from(_PIECES),
    st.sampled_from(["{{/if}}", "{{else}}b{{/if}}", "{{/unless}}", ""]),
)


@pytest.mark.parametrize("part", list(Part))
@settings(max_examples=300, deadline=None)
@given(pieces=st.lists(st.sampled_from(_PIECES), max_size=5) | st.lists(_BLOCK, max_size=3))
def test_no_mixture_of_syntaxes_ever_shows_a_brace(part: Part, pieces: list[str]) -> None:
    """It converts to something that is rendered without any, or is refused with its place."""
    result = convert(part, "".join(pieces))
    if result.problems:
        assert all(problem.path.startswith(part.value) for problem in result.problems)
        return
    try:
        text = render_part(part, result.text, FACTS)
    except RenderError:
        return
    if part is Part.HTML:
        text = re.sub(r"<style\b.*?</style", "", text, flags=re.DOTALL | re.IGNORECASE)
        text = re.sub(r'style="[^"]*"', "", text)
    assert "{" not in text
    assert "}" not in text
    assert "%7b%7b" not in text.lower()


@pytest.mark.parametrize(
    "piece", ["{", "{{", "{%", "{{#if client_name}}", "%7b%7b", "}}", "<style>"]
)
def test_a_text_of_nothing_but_beginnings_is_refused_at_once(piece: str) -> None:
    found = problems(piece * (90_000 // len(piece)), Part.HTML)
    assert len(found) <= MOST_PROBLEMS + 1


def test_html_becomes_text_that_renders() -> None:
    html = (
        "<h1>Hello {{ client.first_name }}</h1><p>Your <b>visit</b></p>"
        "{% if job.total %}<ul><li>{{ job.total | money }}</li></ul>{% endif %}"
        '<p><a href="{{ links.review }}">Review us</a><br>Bye &amp; thanks</p>'
        "<style>p{color:red}</style>"
    )
    assert render_part(Part.TEXT, text_of(html), FACTS) == (
        "Hello Maria\n\nYour visit\n\n- $480.00\n\n"
        "Review us: https://bluebird.example/review\nBye & thanks"
    )
