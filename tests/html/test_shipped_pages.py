"""Every shipped email is valid HTML that everybody can read, by day and by night."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from playwright.async_api import async_playwright

from fixlify.rendering import RenderedEmail
from tests.html.shipped_messages import shipped_messages, shipped_pages
from tests.html.tools import (
    CHROMIUM,
    CHROMIUM_FLAGS,
    FOLDER,
    install_tools,
    require_chromium,
    run_node,
)

_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


def test_no_brace_of_a_template_reaches_anybody() -> None:
    messages = shipped_messages()
    assert len(messages) > 200
    for title, message in messages.items():
        # The hostile client's own braces are shown, as the text they are.
        braces = ("{{",) if ", hostile," in title else ("{{", "}}", "{%", "%}", "{#")
        for text in message.model_dump().values():
            assert not [brace for brace in braces if text and brace in text], title


def test_every_email_is_valid_html() -> None:
    assert run_node("validate.js", shipped_pages()) == {}


def test_the_validator_finds_what_is_wrong() -> None:
    assert run_node("validate.js", {"broken": "<p><table></p><img src='x'>"})["broken"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_email_can_be_read_by_everybody(scheme: Literal["light", "dark"]) -> None:
    found = await _inaccessible(shipped_pages(), scheme)
    assert found == {}


async def test_the_checker_finds_what_is_hard_to_read() -> None:
    page = next(html for title, html in shipped_pages().items() if ", full," in title)
    pale = page.replace("color:#52606d", "color:#c2c6cd")
    assert "color-contrast" in str(await _inaccessible({"pale": pale}, "light"))


@pytest.mark.parametrize("width", [320, 1280])
async def test_no_email_is_wider_than_the_screen(width: int) -> None:
    wide = await _each_page(
        shipped_pages(),
        "light",
        "() => document.documentElement.scrollWidth > window.innerWidth",
        width=width,
    )
    assert [title for title, is_wide in wide.items() if is_wide] == []


def test_every_email_says_who_writes_and_how_to_stop_it() -> None:
    for title, message in shipped_messages().items():
        if isinstance(message, RenderedEmail):
            assert message.html, title
            assert "Lakeside Plumbing" in message.html, title
            assert "https://lakeside.example/u/" in message.html, title
            assert "https://lakeside.example/u/" in message.text.splitlines()[-1], title


async def _inaccessible(
    pages: dict[str, str], scheme: Literal["light", "dark"]
) -> dict[str, list[str]]:
    install_tools()
    axe = (FOLDER / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
    check = (
        f"async () => (await axe.run({{runOnly: {json.dumps(_RULES)}}})).violations"
        ".flatMap(v => v.nodes.map(n => `${v.id}: ${n.html} ${n.failureSummary}`))"
    )
    found = await _each_page(pages, scheme, check, script=axe)
    return {title: problems for title, problems in found.items() if problems}


async def _each_page(
    pages: dict[str, str],
    scheme: Literal["light", "dark"],
    question: str,
    *,
    script: str | None = None,
    width: int = 800,
) -> dict[str, Any]:
    """Return what *question*, JavaScript, is answered on each page; nothing is loaded from afar."""
    require_chromium()
    answers: dict[str, Any] = {}
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=list(CHROMIUM_FLAGS)
        )
        try:
            page = await browser.new_page(
                color_scheme=scheme, viewport={"width": width, "height": 900}
            )
            await page.route("**/*", lambda route: route.abort())
            for title, html in pages.items():
                await page.set_content(html, wait_until="domcontentloaded")
                if script is not None:
                    await page.evaluate(script)
                answers[title] = await page.evaluate(question)
        finally:
            await browser.close()
    return answers
