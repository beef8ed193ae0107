"""The manual as a site: whole, strict about its links, and nothing in it comes from elsewhere."""

import shutil
from pathlib import Path

import pytest

from tests.check_site import PROJECT, build, fetched


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("manual") / "site"
    said = build(PROJECT, folder)
    assert said.returncode == 0, said.stderr
    return folder


def test_every_page_is_there(site):
    """Each page of docs/ is a page of the site."""
    for page in (PROJECT / "docs").glob("*.md"):
        assert (site / f"{page.stem}.html").exists()


def test_nothing_is_fetched(site):
    """No script, style, picture or font of another server: it can be read without a network."""
    assert fetched(site) == []


def test_lists_nest_as_they_do_in_the_repository(site):
    """A list within a list, by two spaces, is one; code in a list item is code."""
    statuses = (site / "statuses.html").read_text()
    good = statuses.partition('<h2 id="good">')[2].partition("<h2 ")[0]
    assert good.count("<ul>") == 2
    assert "```" not in (site / "reliability.html").read_text()


@pytest.mark.parametrize(
    "link", ["nowhere.md", "tables.md#no-such-heading", "../README.md", "/tables.md"]
)
def test_a_link_that_leads_nowhere_ends_the_build(tmp_path, link):
    """A page that is not there, an anchor that is not there, a file outside of the manual."""
    shutil.copy(PROJECT / "mkdocs.yml", tmp_path)
    shutil.copytree(PROJECT / "docs", tmp_path / "docs")
    with (tmp_path / "docs/scale.md").open("a") as page:
        page.write(f"\n[here]({link})\n")
    said = build(tmp_path, tmp_path / "site")
    assert said.returncode != 0
    assert link.partition("#")[2] in said.stderr


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://example.com/x.js"></script>',
        "<img alt='' src='//example.com/x.png'>",
        '<link rel="stylesheet" href="http://example.com/x.css">',
        "<style>@font-face {src: url(https://example.com/x.woff)}</style>",
    ],
)
def test_what_would_be_fetched_is_found(tmp_path, text):
    """Each way in which a page has a browser get something from elsewhere."""
    (tmp_path / "page.html").write_text(text)
    assert [page for page, _address in fetched(tmp_path)] == ["page.html"]
