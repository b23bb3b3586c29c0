"""Whatever stands in a field is shown, refused or cut; it never runs and never surprises."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any, get_args, get_origin

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixlify.domain.automation import TemplateSource
from fixlify.domain.errors import RenderError
from fixlify.domain.facts import PARTS, Facts, Links
from fixlify.rendering import render_email, render_sms, shipped_templates
from tests.unit.sample_facts import facts

MARK = "zqx"
ATTACKS = (
    f"<script>{MARK}()</script>",
    f"\"'><img src=x onerror={MARK}()>",
    f"</title></style></td></table><iframe src=//{MARK}>",
    "{{ client.email }}",
    "{{ 7 * 7 }}{% for x in range(10**9) %}x{% endfor %}",
    "{% raw %}",
    "{#",
    "Ann\r\nBcc: everybody@example.com",
    "Ann\nContent-Type: text/html\n\n<b>",
    "\u202egnp.exe\u202c \u2066\u2067\u2068\u2069 \u202a\u202b\u202d",
    "\u200b\u200d\ufeff",
    "Ann\x00\x1b[2J\x7f",
    "\ud800",
    "\udfff\ud800x",
    f"javascript:{MARK}()",
    f"data:text/html,<script>{MARK}()</script>",
    f"red;}}</style><script>{MARK}()</script>",
    "%s%n{0.__class__}{}%(x)s",
    "e" + "\u0301" * 9_000,
    "x" * 10_001,
    "x" * 10_000_000,
    "",
    " ",
)
HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
NUMBERS = (Decimal("1e40"), Decimal("NaN"), Decimal("-Infinity"), Decimal("1e999999"), Decimal(0))
MOMENTS = (
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, tzinfo=UTC),
    datetime(1, 1, 1, tzinfo=UTC).replace(tzinfo=None),
    datetime(9999, 12, 31, 23, 59, tzinfo=UTC).replace(tzinfo=None),
)


def _base() -> Facts:
    links = Links(**{name: f"https://lakeside.example/{name}" for name in Links.model_fields})
    return facts().model_copy(update={"links": links})


def _fields() -> Iterator[tuple[str, str, Any]]:
    for part, model in PARTS.items():
        for name, info in model.model_fields.items():
            yield part, name, info.annotation


def _values(annotation: Any) -> tuple[Any, ...]:
    members = set(get_args(annotation) or (annotation,))
    if get_origin(annotation) is tuple:
        return (*((attack, "vip") for attack in ATTACKS), ("x",) * 10_000)
    if str in members:
        return ATTACKS
    if Decimal in members:
        return NUMBERS
    if datetime in members:
        return MOMENTS
    if date in members:
        return (date.min, date.max)
    if int in members:
        return (10**5_000, -1)
    return ()


PIECES = [
    *(" ", "\n", "{{", "}}", "{%", "%}", "{#", "#}", "client.first_name", "for", "x", "in", "[1]"),
    *("endfor", "if", "else", "endif", "|", "default", "upper", "join", "~", "(", ")", "'", '"'),
    *("<p", "<p ", ">", "<a href=", "</p>", "<!--", "-->", "<script>", "<table>", "<tr>", "<title"),
    *("-", "=", "set", "raw", "endraw", "style", "**", "9999999999", ".__class__"),
]


class _Elements(HTMLParser):
    """What a browser would make elements, attributes and links of."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        for name, value in attrs:
            self.seen.append(name)
            # What has no scheme leads nowhere, and does nothing.
            if name in ("href", "src") and re.match(r"(?!https:)\s*\w+:", value or ""):
                self.seen.append(f"{name}={value}")


def _structure(html: str) -> set[str]:
    return set(_Elements(html).seen)


EVERYTHING = TemplateSource(
    subject="{{ job.title | default('x') }} {{ client.name | default('x') }}",
    text="\n".join(
        f"{{{{ {part}.{name} | default('-') }}}}"
        for part, name, annotation in _fields()
        if bool not in (get_args(annotation) or (annotation,))
    ),
    html="<p title=\"{{ job.title | default('') }}\">"
    + "<br>".join(
        f"{{{{ {part}.{name} | default('-') }}}}"
        for part, name, annotation in _fields()
        if bool not in (get_args(annotation) or (annotation,))
    )
    + "</p><a href=\"{{ links.review | default('https://x.example') }}\">Go</a>",
    sms="{{ client.first_name | default('-') }} {{ job.title | default('-') }}",
)
KNOWN = _structure(render_email(EVERYTHING, _base()).html or "") | {"img", "src", "alt", "height"}


def _check(source: TemplateSource, about: Facts) -> None:
    """Render it; a refusal is as good as a message, as long as it quotes no data."""
    try:
        email = render_email(source, about, unsubscribe_url="https://lakeside.example/u/1")
        texts = [email.subject, email.text, email.html or "", render_sms(source, about).text]
        refusal = ""
    except RenderError as error:
        refusal = str(error)
    if refusal:
        assert MARK not in refusal
        assert len(refusal) < 400
        return
    assert email.subject.splitlines() == [email.subject]
    for text in texts:
        assert "{{" not in text
        assert not HIDDEN.search(text)
        text.encode()
    if source is EVERYTHING:
        assert _structure(texts[2]) <= KNOWN


@pytest.mark.parametrize(
    ("part", "name", "values"),
    [
        pytest.param(part, name, values, id=f"{part}.{name}")
        for part, name, annotation in _fields()
        if (values := _values(annotation))
    ],
)
def test_hostile_data_in_any_field_is_shown_or_refused(
    part: str, name: str, values: tuple[Any, ...]
) -> None:
    for value in values:
        base = _base()
        changed = getattr(base, part).model_copy(update={name: value})
        _check(EVERYTHING, base.model_copy(update={part: changed}))


@pytest.mark.parametrize("template", sorted(shipped_templates()))
def test_hostile_data_in_every_field_at_once_leaves_shipped_messages_whole(template: str) -> None:
    source = shipped_templates()[template]
    for attack in ATTACKS:
        changes = {
            part: getattr(_base(), part).model_copy(
                update={
                    name: attack
                    for of, name, annotation in _fields()
                    if of == part and str in (get_args(annotation) or (annotation,))
                }
            )
            for part in PARTS
            if part != "links"
        }
        _check(source, _base().model_copy(update=changes))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    value=st.text(
        st.sampled_from("<>&\"'={}%#\n\r\0/:; abjsx\u202e\u200d\ud800\u0301\U0001f469"), max_size=60
    ),
    where=st.sampled_from(
        [(p, n) for p, n, a in _fields() if str in (get_args(a) or (a,)) and p != "links"]
    ),
)
def test_any_text_in_any_field_is_shown_or_refused(value: str, where: tuple[str, str]) -> None:
    part, name = where
    changed = getattr(_base(), part).model_copy(update={name: value})
    _check(EVERYTHING, _base().model_copy(update={part: changed}))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(PIECES),
        max_size=25,
    )
)
def test_any_template_renders_or_says_why_not(pieces: list[str]) -> None:
    source = "".join(pieces)
    for part in ("text", "html", "sms"):
        parts = {"subject": "Hello", "text": "Hello", "sms": "Hello", part: source}
        _check(TemplateSource(**parts), facts())


@pytest.mark.parametrize(
    "html",
    [
        "<a " + '"<a ' * 20_000,
        "<!--" * 25_000,
        "<title>" * 14_000,
        "<a b" * 25_000,
        "<" * 100_000,
        "<a " + "b=" * 49_000 + ">",
        "<p " + " " * 99_000 + ">",
        "<b>" * 33_000,
        "<table>" * 14_000,
        "<p style='" + ";" * 99_000 + "'>x",
        "</p>" * 25_000,
    ],
    ids=lambda html: html[:12],
)
def test_endless_markup_ends(html: str) -> None:
    """Each of these takes minutes where something looks again from every place."""
    _check(TemplateSource(subject="Hello", text="Hello", sms="Hello", html=html), facts())
