"""Pictures of a page, taken by the Chromium that is installed here; it runs no script."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from playwright.async_api import Browser, Route

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ARGUMENTS: Final = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-gpu",
    "--disable-sync",
    "--no-first-run",
)
# Of a page that needs longer for its pictures, what is there is shown.
_PATIENCE_MS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Screen:
    """What a page is looked at on: CSS pixels, and the reader's choice of light or dark."""

    width: int
    height: int
    colors: Literal["light", "dark"] = "light"
    pixels: int = 1


SCREENS: Final[Mapping[str, Screen]] = {
    "desktop": Screen(1000, 700),
    "phone": Screen(375, 667, pixels=2),
    "dark": Screen(375, 667, "dark", pixels=2),
}


def missing() -> str | None:
    """Return what to install before pictures can be taken, or None."""
    if find_spec("playwright") is None:
        return "install fixlify-automations[preview]"
    if _browser() is None:
        return "install Chromium, such as with `apt install chromium`"
    return None


def _browser() -> str | None:
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


async def take_pictures(html: str, files: Mapping[str, Path]) -> None:
    """Take a picture of *html* on each of the ``SCREENS`` named in *files*.

    Pictures in the page are fetched, as mail programs do; nothing else is.
    """
    from playwright.async_api import async_playwright

    # Chromium's own sandbox refuses to run as root, as in a container.
    arguments = [*_ARGUMENTS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=_browser(), args=arguments)
        try:
            for name, file in files.items():
                await _take(browser, html, SCREENS[name], file)
        finally:
            await browser.close()


async def _take(browser: Browser, html: str, screen: Screen, file: Path) -> None:
    from playwright.async_api import Error

    context = await browser.new_context(
        viewport={"width": screen.width, "height": screen.height},
        color_scheme=screen.colors,
        device_scale_factor=screen.pixels,
        java_script_enabled=False,
        service_workers="block",
    )
    page = await context.new_page()
    await page.route("**/*", _pictures_only)
    # Where a picture never comes the words are there.
    with suppress(Error):
        await page.set_content(html, wait_until="load", timeout=_PATIENCE_MS)
    await page.screenshot(path=file, full_page=True, timeout=_PATIENCE_MS)
    await context.close()


async def _pictures_only(route: Route) -> None:
    if route.request.resource_type == "image":
        await route.continue_()
    else:
        await route.abort()
