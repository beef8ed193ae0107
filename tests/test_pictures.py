"""The manual's pictures of a terminal: of real runs, readable without a network, all in use."""

import html
import re
from xml.etree import ElementTree

import pytest

from tests.check_site import fetched
from tests.command import fleet
from tests.lab import shop
from tests.lab.lab import PROJECT
from tests.lab.pictures import FOLDER, PICTURES, drawn, screen

SPACE = "\N{NO-BREAK SPACE}"
PAGES = {page.name: page.read_text() for page in (PROJECT / "docs").glob("*.md")}


def lines_of(svg: str) -> list[str]:
    """What a picture says, line by line, without those that are empty."""
    lines: dict[float, list[tuple[float, str]]] = {}
    for x, y, text in re.findall(
        r'<text class="[\w-]+-r\d+" x="([\d.]+)" y="([\d.]+)"[^>]*>(.*?)</text>', svg
    ):
        lines.setdefault(float(y), []).append((float(x), html.unescape(text)))
    joined = ("".join(text for _x, text in sorted(parts)) for _y, parts in sorted(lines.items()))
    return [line.replace(SPACE, " ").rstrip() for line in joined]


@pytest.mark.parametrize("name", PICTURES)
def test_picture_is_one_and_in_use(name):
    """It is XML, shows the commands that were typed, and stands in a page with words beside it."""
    svg = (FOLDER / f"{name}.svg").read_text()
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    said = lines_of(svg)
    assert [line for line in said if line.startswith("$ ")] == [
        f"$ {command}" for command in PICTURES[name][1]
    ]
    assert any(re.search(rf"!\[\w.+?\]\(pictures/{name}\.svg\)", page) for page in PAGES.values())


def test_pictures_fetch_nothing():
    """They name no font and no file of elsewhere."""
    assert fetched(FOLDER) == []
    assert not any("@font-face" in path.read_text() for path in FOLDER.glob("*.svg"))


def test_picture_of_hosts_is_what_is_printed(tmp_path):
    """What needs no network is run again, and is the same."""
    inventory = tmp_path / "inventory.yaml"
    inventory.write_text(shop.INVENTORY.format(port="", **shop.ADDRESSES))
    shown = lines_of((FOLDER / "hosts.svg").read_text())
    for words in (["--graph"], ["-F", "none", "--format", "table"]):
        printed = fleet("hosts", "-i", inventory, *words).stdout.splitlines()
        assert set(printed) <= set(shown)


def test_screen_is_what_a_terminal_shows_in_the_end():
    """A bar that was drawn, moved over and erased is gone; colours stay."""
    bar = "\x1b[?25lvisiting 1/5\r\x1b[2Kvisiting 5/5\n\r\x1b[1A\x1b[2K\x1b[?25h"
    assert screen(f"{bar}HOST\r\n\x1b[1mweb1\x1b[0m\r\n") == "HOST\n\x1b[1mweb1\x1b[0m\n"


def test_drawn_text_is_the_text():
    """Blanks, brackets and signs of XML come out as they went in."""
    text = "$ fleet hosts 'a&b' <c>\n  [bold]x[/bold]  web[01-12]\n"
    assert lines_of(drawn("hosts", text, 60)) == text.splitlines()
