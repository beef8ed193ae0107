"""The system's Chromium, without a screen, for pages that `fleet report` made."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.lab.waiting import LabError

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str:
    """The browser on PATH."""
    for program in PROGRAMS:
        if path := shutil.which(program):
            return path
    raise LabError(f"no browser: none of {', '.join(PROGRAMS)}; `make test` says how")


@contextmanager
def chromium() -> Iterator[Any]:
    """A running browser, as playwright has it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(),
            args=["--no-sandbox", "--disable-dev-shm-usage"],  # root, and small containers
        )
        try:
            yield browser
        finally:
            browser.close()


def shown(page: Any, file: Path) -> None:
    """Open a file, and wait until its first charts are drawn."""
    page.set_default_timeout(10_000)
    page.goto(file.as_uri())
    page.locator(".plot").first.scroll_into_view_if_needed()
    page.wait_for_selector(".plot .main-svg", state="attached")
    page.evaluate("scrollTo(0, 0)")
