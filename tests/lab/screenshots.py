"""`python -m tests.lab.screenshots`: the pictures of docs/report.md, from a day that was made up.

A real QuestDB, `fleet report` as a user runs it, and a real browser; what it prints is what the
command printed.
"""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fleet.tables import TableNames, schema_of
from tests.lab import history
from tests.lab.browser import chromium, shown
from tests.lab.lab import PROJECT, Lab
from tests.lab.questdb import QuestDB

PICTURES = PROJECT / "docs/pictures"
UNTIL = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MAX_BYTES = 200_000
VIEWS: dict[str, dict[str, Any]] = {
    "report-light": {"viewport": {"width": 1100, "height": 1000}, "color_scheme": "light"},
    "report-dark": {"viewport": {"width": 1100, "height": 1000}, "color_scheme": "dark"},
    "report-phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light"},
}


def main() -> None:
    """Write the pictures; end with a sentence when one is too large to keep."""
    with Lab(PROJECT / ".lab") as lab, QuestDB(lab, "pictures") as questdb:
        schema = schema_of(TableNames())
        history.store(questdb, schema, *history.shop(schema, UNTIL))
        file = lab.folder / "report.html"
        argv = [sys.executable, "-m", "fleet", "report", "--questdb", questdb.conf]
        argv += ["--until", UNTIL.isoformat(), "--title", "Shop, 1 March", "--out", str(file)]
        subprocess.run(argv, check=True)
        PICTURES.mkdir(exist_ok=True)
        with chromium() as browser:
            for name, view in VIEWS.items():
                _take(browser, file, PICTURES / f"{name}.png", view)


def _take(browser: Any, file: Path, picture: Path, view: dict[str, Any]) -> None:
    with browser.new_context(**view) as context:
        page = context.new_page()
        shown(page, file)
        if view["color_scheme"] == "dark":  # of the two wide ones this shows charts
            page.locator("section.group").first.scroll_into_view_if_needed()
            page.evaluate("document.querySelector('section.group').scrollIntoView()")
            page.wait_for_timeout(500)
        page.screenshot(path=str(picture))
    size = picture.stat().st_size
    print(f"{picture.relative_to(PROJECT)}: {size} bytes")
    if size > MAX_BYTES:
        sys.exit(f"{picture.name} has more than {MAX_BYTES} bytes")


if __name__ == "__main__":
    main()
