"""An html part gets the company's page, and its styles, without a change to what it says."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixlify.domain.automation import TemplateSource
from fixlify.domain.errors import RenderError
from fixlify.domain.facts import Facts
from fixlify.rendering import check_template, language_of, render_email, render_sms
from fixlify.rendering.layout import UnsafeMarkupError, brand_of, styled
from fixlify.rendering.layout.brand import DEFAULT_COLOR, contrast
from tests.unit.sample_facts import facts


def page(html: str, about: Facts | None = None, *, unsubscribe_url: str | None = None) -> str:
    source = TemplateSource(subject="Hello", text="Hello", html=html)
    return render_email(source, about or facts(), unsubscribe_url=unsubscribe_url).html or ""


def test_every_tag_carries_its_own_style() -> None:
    assert 'style="margin:0 0 16px">Hi Maria' in page("<p>Hi {{ client.first_name }}</p>")
    button = re.search("<a [^>]*>", page('<a class="button" href="https://x.example">Go</a>'))
    assert button
    assert "display:inline-block" in button[0]
    assert 'href="https://x.example"' in button[0]


def test_what_depends_on_the_screen_stays_in_a_stylesheet() -> None:
    html = page("<p>Hello</p>")
    assert "@media (prefers-color-scheme: dark)" in html
    assert "@media (max-width: 480px)" in html
    assert '<meta name="color-scheme" content="light dark">' in html


@pytest.mark.parametrize(
    "source",
    [
        "{% if a %}<div>{% else %}<div class='x'>{% endif %}x</div>",
        "<table>{% for t in x %}<tr><td>{{ t }}</td></tr>{% endfor %}</table>",
        "<table>{% if a %}text between{% endif %}<tr><td>x</table>",
        "a < b {{ '<p>' ~ \"}} <p>\" }} {# <p> #}{% raw %}{{ <i> {% endraw %}",
        "<p title=\"{{ '>' }}\">&nbsp;&amp; é <br/> <!-- <p> --></p>",
        "<p\n class=x\n>{%- if a -%} \n <b> x </b> {%- endif -%}\n</p>",
        "<p>never closed <a href='",
    ],
)
def test_nothing_but_styles_is_written_into_a_source(source: str) -> None:
    assert re.sub(' style="[^"]*"', "", styled(source)) == source


def test_a_tags_own_style_wins() -> None:
    assert styled('<p style="margin:9px">x</p>') == '<p style="margin:0 0 16px;margin:9px">x</p>'
    dynamic = "<p style='color:{{ a or \"b\" }}'>x</p>"
    assert styled(dynamic) == "<p style='margin:0 0 16px;color:{{ a or \"b\" }}'>x</p>"


def test_a_mistake_is_told_with_the_line_the_author_knows() -> None:
    source = TemplateSource(subject="a", text="b", html="<p>\r\n<b>x</b>\r\n{{ clint.name }}</p>")
    assert [problem.path for problem in check_template(source, channel="email")] == ["html line 3"]


@pytest.mark.parametrize(
    ("html", "reason"),
    [
        ("<p>\n<{{ client.tags }}>", "html line 2: a tag cannot be named by data"),
        ("<p {{ client.first_name }}>x</p>", "html line 1: data in a tag is an attribute's value"),
        ("<p {{ client.first_name }}='x'>x</p>", "data in a tag is an attribute's value"),
        ('<p onclick="{{ job.id }}">x</p>', "data cannot stand in 'onclick'"),
        ("<script>var a = {{ job.id }}</script>", "data cannot stand in a script"),
        ("<b>" * 2_001, "has more than 2,000 tags"),
    ],
)
def test_markup_that_data_could_turn_into_code_is_refused(html: str, reason: str) -> None:
    with pytest.raises(RenderError, match=re.escape(reason)):
        page(html)


def test_data_cannot_leave_an_attribute_without_quotes() -> None:
    about = facts(job={"title": "x onmouseover=alert(1)"})
    assert 'title="x onmouseover=alert(1)"' in page("<p title={{ job.title }}>x</p>", about)


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        " java\tscript:alert(1)",
        "\x01javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "vbscript:x",
        "data:text/html,x",
        "file:///etc/passwd",
    ],
)
@pytest.mark.parametrize(
    "html",
    [
        '<a href="{{ job.title }}">x</a>',
        "<a href={{ job.title }}>x</a>",
        "<img alt='' src='{{ job.title }}'>",
        "<!doctype html><html><a href='{{ job.title }}'>x</a>",
    ],
)
def test_a_link_that_would_run_something_is_refused(html: str, address: str) -> None:
    with pytest.raises(RenderError, match=r"^html: a link begins with something else"):
        page(html, facts(job={"title": address}))


def test_text_about_a_link_is_no_link() -> None:
    title = "href=javascript:alert(1)"
    assert title in page("<p>{{ job.title }}</p>", facts(job={"title": title}))


@pytest.mark.parametrize(
    "html", ["<!doctype html><html><body>{{ job.title }}</body></html>", "<HTML>{{ job.title }}"]
)
def test_a_whole_document_is_sent_as_it_is(html: str) -> None:
    """Older versions of automations hold such ones."""
    assert page(html) == html.replace("{{ job.title }}", "Kitchen faucet repair")


def test_a_page_names_the_company_and_where_it_is() -> None:
    html = page("<p>x</p>", facts(organization={"address": "1 Main <Street>", "name": "A & B"}))
    for text in ("A &amp; B", "1 Main &lt;Street&gt;", "(312) 555-0100", "office@lakeside.example"):
        assert text in html
    assert '<a style="color:#52606d" href="https://lakeside.example">lakeside.example</a>' in html


@pytest.mark.parametrize(
    "website", ["javascript:alert(1)", "ftp://x.example", "two words", "http://", "x" * 3_000]
)
def test_a_website_that_is_none_is_left_out(website: str) -> None:
    html = page("<p>x</p>", facts(organization={"website": website}))
    assert website not in html
    assert "<a " not in html


def test_a_logo_stands_in_place_of_the_name_and_says_it() -> None:
    html = page("<p>x</p>", facts(organization={"logo_url": "https://x.example/l.png?a&b"}))
    assert 'src="https://x.example/l.png?a&amp;b" alt="Lakeside Plumbing"' in html


@pytest.mark.parametrize(
    "logo", ["http://x.example/l.png", "javascript:x", "data:image/png;base64,x", '"><script>']
)
def test_a_logo_that_no_program_should_load_is_left_out(logo: str) -> None:
    assert "<img" not in page("<p>x</p>", facts(organization={"logo_url": logo}))


@pytest.mark.parametrize(
    ("color", "shown"),
    [
        ("#0b6e4f", "#0b6e4f"),
        ("#FC0", "#ffcc00"),
        (None, DEFAULT_COLOR),
        ("red", DEFAULT_COLOR),
        ("#12345", DEFAULT_COLOR),
        ("#fff;}</style><script>", DEFAULT_COLOR),
    ],
)
def test_a_button_has_the_companys_color_or_a_neutral_one(color: str | None, shown: str) -> None:
    html = page("<a class='button' href='#'>x</a>", facts(organization={"brand_color": color}))
    assert f"background-color:{shown}" in html
    assert "brand-color" not in html
    assert "brand-text" not in html
    assert "script" not in html


@given(st.from_regex(r"#[0-9a-f]{6}", fullmatch=True))
def test_text_on_any_color_can_be_read(color: str) -> None:
    brand = brand_of(color)
    assert contrast(brand.color, brand.text) >= 4.5


@pytest.mark.parametrize(
    ("locale", "tag"),
    [
        ("es_MX", 'lang="es-MX" dir="ltr"'),
        ("he-IL", 'lang="he-IL" dir="rtl"'),
        ("ar", 'lang="ar" dir="rtl"'),
        ('x" onload="', 'lang="en" dir="ltr"'),
    ],
)
def test_a_page_says_its_language_and_direction(locale: str, tag: str) -> None:
    about = facts(organization={"locale": locale})
    assert f"<html {tag}>" in page("<p>x</p>", about)


@pytest.mark.parametrize(
    ("locale", "words"),
    [
        ("en_US", "Unsubscribe from these emails"),
        ("es_MX", "Dejar de recibir estos correos"),
        ("fr_CA", "Ne plus recevoir ces courriels"),
        ("de_DE", "Diese E-Mails abbestellen"),
        ("ja_JP", "Unsubscribe from these emails"),
    ],
)
def test_a_way_out_is_shown_in_the_clients_language(locale: str, words: str) -> None:
    source = TemplateSource(subject="a", text="b", html="<p>c</p>")
    about = facts(organization={"locale": locale})
    url = "https://lakeside.example/u/1?a=b&c"
    email = render_email(source, about, unsubscribe_url=url)
    assert words in (email.html or "")
    assert 'href="https://lakeside.example/u/1?a=b&amp;c"' in (email.html or "")
    assert email.text.splitlines()[0] == "b"
    assert email.text.endswith(f": {url}")


def test_a_message_nobody_can_unsubscribe_from_offers_no_way_out() -> None:
    source = TemplateSource(subject="a", text="b", html="<p>c</p>")
    email = render_email(source, facts())
    assert email.text == "b"
    assert "nsubscribe" not in (email.html or "")


def test_an_inbox_shows_what_the_message_says_first() -> None:
    text = "Hi {{ client.first_name }},\n\nYour {{ job.title }}\nis done.\n\nBye"
    source = TemplateSource(subject="a", text=text, html="<p>x</p>")
    html = render_email(source, facts()).html or ""
    assert 'class="preheader">Your Kitchen faucet repair is done.</div>' in html


def test_a_client_is_written_to_in_their_language_and_their_formats() -> None:
    source = TemplateSource(
        subject="The visit",
        text="{{ job.schedule_start | date }}, {{ job.total | money }}",
        translations={
            "es": TemplateSource(
                subject="La visita", text="{{ job.schedule_start | date }}", html="<p>x</p>"
            )
        },
    )
    spanish = render_email(source, facts(client={"locale": "es_MX"}))
    assert (spanish.subject, spanish.text) == ("La visita", "26 de noviembre de 2026")
    assert '<html lang="es-MX"' in (spanish.html or "")
    german = render_email(source, facts(client={"locale": "de_DE"}))
    assert (german.subject, german.text) == ("The visit", "26. November 2026, 1.250,50 $")


def test_a_language_nobody_knows_does_not_stop_the_message() -> None:
    source = TemplateSource(subject="a", text="{{ job.schedule_start | date }}")
    assert render_email(source, facts(client={"locale": "xx_YY"})).text == "November 26, 2026"


def test_a_sources_own_tags_are_counted_before_anything_reads_them() -> None:
    with pytest.raises(UnsafeMarkupError, match="2,000"):
        styled("<div>" * 20_000)


@pytest.mark.parametrize(
    ("client", "company", "own", "heard", "language"),
    [
        ("es_MX", "en_US", None, "hola", "es_MX"),
        ("fr_CA", "de_DE", None, "hello", "en"),
        ("en_GB", "es_MX", None, "hello", "en_GB"),
        ("de_DE", "de_DE", "fr", "hello", "fr"),
        ("fr-CA", "es_MX", "fr", "hello", "fr-CA"),
        (None, "es_MX", "fr", "hola", "es_MX"),
    ],
)
def test_a_client_hears_their_own_language_or_else_the_texts_own(
    client: str | None, company: str, own: str | None, heard: str, language: str
) -> None:
    source = TemplateSource(
        subject="a",
        text="hello",
        sms="hello",
        locale=own,
        translations={"es": TemplateSource(subject="a", text="hola", sms="hola")},
    )
    about = facts(organization={"locale": company}, client={"locale": client})
    assert render_email(source, about).text == heard
    assert render_sms(source, about).text == heard
    assert language_of(source, about) == language
