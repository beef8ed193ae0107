"""What the manual says is what the program does."""

import re
from pathlib import Path

import click
import pytest

from fleet.cli import _fleet
from fleet.status import Phase, Status
from fleet.tables import TableNames, schema_of
from tests.command import fleet

PROJECT = Path(__file__).parent.parent
MANUAL = (PROJECT / "docs/fleet.1.md").read_text()
README = (PROJECT / "README.md").read_text()
CHANGELOG = (PROJECT / "CHANGELOG.md").read_text()
STATUSES = (PROJECT / "docs/statuses.md").read_text()
TABLES = (PROJECT / "docs/tables.md").read_text()

PAGES = {"README": README} | {
    page.stem: page.read_text() for page in sorted((PROJECT / "docs").glob("*.md"))
}

COMMANDS = {
    name: command for name, command in _fleet.commands.items() if isinstance(command, click.Command)
}
OPTIONS = {
    option
    for command in COMMANDS.values()
    for parameter in command.params
    if isinstance(parameter, click.Option)
    for option in parameter.opts
}


def test_manual_has_every_option_and_no_other():
    """An option comes and goes with its place in the manual."""
    listed = re.search(r"## OPTIONS\n(.*?)\n## ", MANUAL, re.DOTALL)
    assert listed
    said = set(re.findall(r"`(--?[a-zA-Z][a-z-]*)", listed[1]))
    assert said == OPTIONS


def _listed() -> dict[str, set[str]]:
    """The options of each command, by the manual's blocks: `Of **collect** and **check**:`."""
    part = MANUAL.partition("## OPTIONS\n")[2].partition("\n## ")[0]
    found: dict[str, set[str]] = {name: set() for name in COMMANDS}
    for head, body in re.findall(r"^Of (.*?):\n\n(.*?)(?=^Of |\Z)", part, re.DOTALL | re.MULTILINE):
        named = set(re.findall(r"\*\*([a-z]+)\*\*", head))
        of = set(COMMANDS) - named if head.startswith("all but") else named
        options = set()
        for bullet in re.findall(r"^- ((?:`[^`]+`(?:,\s+)?)+)", body, re.MULTILINE):
            options |= set(re.findall(r"(?<![a-zA-Z0-9_])(--?[a-zA-Z][a-z-]*)", bullet))
        for name in of:
            found[name] |= options
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_manual_lists_each_commands_own_options(name):
    """Under the heads that name a command stand its options, and none of another's."""
    own = {
        option
        for parameter in COMMANDS[name].params
        if isinstance(parameter, click.Option)
        for option in parameter.opts
    }
    assert _listed()[name] == own - {"-h", "--help"}


def test_changelog_names_every_option():
    """What a user can say is among the additions of the version that brought it."""
    long = {option for option in OPTIONS if option.startswith("--")} - {"--help"}
    assert {one for one in long if not re.search(rf"{one}\b(?!-)", CHANGELOG)} == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_manual_and_readme_know_every_command(name):
    """Each command has its synopsis, and stands in README."""
    assert f"fleet {name} " in MANUAL
    assert f"**fleet {name}**" in MANUAL
    assert name in README


@pytest.mark.parametrize("text", PAGES.values(), ids=PAGES)
def test_commands_shown_are_commands_that_are_there(text):
    """Every `fleet ...` in a code block parses: its command and its options exist."""
    shown = re.findall(r"^(?:\$ |\*/5 .*/)fleet ([a-z]+)((?: .*)?)$", text, re.MULTILINE)
    for name, rest in shown:
        assert name in COMMANDS, name
        assert set(re.findall(r" (--?[a-z][a-z-]*)", rest.partition("#")[0])) <= OPTIONS


def test_what_readme_shows_is_of_its_own_inventory(tmp_path):
    """The hosts of every output are those of the inventory above it, and `hosts` prints them."""
    inventory = tmp_path / "inventory.yaml"
    (text,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    inventory.write_text(text)
    names = fleet("hosts", "-i", inventory).stdout.split()
    pattern, shown = re.search(
        r"^\$ fleet hosts '(.*)'\n((?:\w+\n)+)", README, re.MULTILINE
    ).groups()
    assert fleet("hosts", "-i", inventory, pattern).stdout == shown
    (snapshot,) = re.findall(r"```\n\$ fleet snapshot\n(.*?)```", README, re.DOTALL)
    listed = {line.split()[0] for line in snapshot.splitlines()[1:-2] if line[:1].islower()}
    assert listed == set(names)
    assert set(re.findall(r'^"(\w+)","\w+', README, re.MULTILINE)) <= {*names, "host"}
    assert set(re.findall(r"127[.][0-9.]+(?= port)", README)) <= set(re.findall(r"127[.\d]+", text))


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.OK])
def test_every_status_has_its_cure(status):
    """README's table and the page of statuses name each."""
    assert f"**`{status}`**" in STATUSES
    if status is not Status.JUMP_FAILED:
        assert f"`{status}`" in README


def test_every_phase_is_named():
    """The tables' page lists the words that the column `phase` holds."""
    for phase in Phase:
        assert f"`{phase}`" in TABLES


def test_every_column_is_explained():
    """A column comes with its line in the tables' page."""
    for table in schema_of(TableNames()).tables:
        part = TABLES.partition(f"## {table.name}:")[2].partition("\n## ")[0]
        for column in table.columns:
            if not column.name.endswith("_unit"):
                assert f"`{column.name}`" in part, f"{table.name}.{column.name}"


def test_links_lead_somewhere():
    """Every relative link of README and docs is a file of the project."""
    for page in (PROJECT / "README.md", *(PROJECT / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_help_names_every_exit_status():
    """--help and the manual list the same statuses."""
    epilog = _fleet.epilog or ""
    for number in ("0", "1", "2", "3", "4", "5", "6", "7", "130, 143"):
        assert re.search(rf"^  {number}  ", epilog, re.MULTILINE)
        assert f"| {number} |" in MANUAL


def test_cron_gets_what_the_shell_exports():
    """What the quickstart exports in a shell, it also sets in the crontab."""
    page = PAGES["quickstart"]
    exported = set(re.findall(r"export\s+(\w+)=", page))
    assert exported
    assert exported <= set(re.findall(r"^```\n(\w+)=", page, re.MULTILINE))
