"""What a shell offers after a Tab: in real shells, and asked as their scripts ask."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.completion import SHELLS
from tests.command import fleet
from tests.shells import START, Shell

INVENTORY = """
web: {hosts: {alpha: , beta: , größe: }}
db: {hosts: {gamma: , "2001:db8::7": , "x$(touch${IFS}ran)": , "y;z": }}
"""

COMPLETED = {
    "fleet sn": "fleet snapshot ",
    "fleet hosts --fol": "fleet hosts --fold ",
    "fleet hosts --format ta": "fleet hosts --format table ",
    "fleet hosts --format=ta": "fleet hosts --format=table ",
    "fleet hosts alp": "fleet hosts alpha ",
    "fleet collect d": "fleet collect db ",
    "fleet hosts web,be": "fleet hosts web,beta ",
    "fleet hosts web:be": "fleet hosts web:beta ",
    "fleet hosts 'web,!d": "fleet hosts 'web,!db' ",
    "fleet hosts 'web,&be": "fleet hosts 'web,&beta' ",
    'fleet hosts "db:&ga': 'fleet hosts "db:&gamma" ',
    "fleet hosts -l ga": "fleet hosts -l gamma ",
    "fleet hosts -lga": "fleet hosts -lgamma ",
    "fleet collect -vlweb,be": "fleet collect -vlweb,beta ",
    "fleet hosts grö": "fleet hosts größe ",
    "fleet check --limit=ga": "fleet check --limit=gamma ",
    "fleet hosts --host alp": "fleet hosts --host alpha ",
    "fleet hosts -i other.yaml de": "fleet hosts -i other.yaml delta ",
    "fleet collect --known-hosts kno": "fleet collect --known-hosts known_keys ",
    "fleet collect --known-hosts=kno": "fleet collect --known-hosts=known_keys ",
    "fleet completion fi": "fleet completion fish ",
    # nothing to offer: the line stays
    "fleet hosts x": "fleet hosts x",
    "fleet hosts -l-ga": "fleet hosts -l-ga",
    "fleet hosts -i broken.yaml alp": "fleet hosts -i broken.yaml alp",
    "fleet hosts -i program alp": "fleet hosts -i program alp",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with an inventory, another one, one that is broken and one that is a program."""
    home = tmp_path_factory.mktemp("shells")
    (home / "inventory.yaml").write_text(INVENTORY)
    (home / "other.yaml").write_text("web: {hosts: {delta: }}")
    (home / "broken.yaml").write_text("all: [")
    (home / "program").write_text(f"#!/bin/sh\ntouch '{home}/ran'\n")
    (home / "program").chmod(0o755)
    (home / "known_keys").write_text("")
    return home


@pytest.fixture(scope="module", params=SHELLS)
def shell(request: pytest.FixtureRequest, folder: Path) -> Iterator[Shell]:
    with Shell(request.param, folder) as started:
        yield started


def asked(line: str, folder: Path, shell: str = "fish", **environment: str) -> list[str]:
    """The candidates for a line, as a shell's script asks for them; nothing else is said."""
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "COMP_WORDS": line}
    env |= {"_FLEET_COMPLETE": f"{shell}_complete", **environment}
    done = subprocess.run(
        [sys.executable, "-m", "fleet"],
        check=True,
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
    )
    assert done.stderr == ""
    return [found.partition(",")[2].partition("\t")[0] for found in done.stdout.splitlines()]


@pytest.mark.parametrize("typed", COMPLETED)
def test_a_tab_completes(shell, typed):
    """bash, zsh and fish make the same line of it, be it quoted, after signs, or after `=`."""
    assert shell.completed(typed) == COMPLETED[typed]


@pytest.mark.parametrize(
    "before",
    [
        "FLEET_INVENTORY=other.yaml",
        "X='1 2' FLEET_INVENTORY='other.yaml' Y=",
        "echo fleet; FLEET_INVENTORY=~/other.yaml",
    ],
)
def test_an_inventory_before_the_command_counts(shell, before):
    """zsh and fish know what is assigned on the line; bash keeps it from whoever completes."""
    told = shell.argv[0] != "bash"
    for typed, done in (("fleet hosts de", "lta "), ("fleet hosts --host ", "delta ")):
        assert shell.completed(f"{before} {typed}") == f"{before} {typed}{done if told else ''}"
    assert shell.completed("fleet hosts alp") == "fleet hosts alpha "


def test_no_program_and_no_name_was_run(shell, folder):
    """An executable inventory is not run for a Tab, and a name that a shell would run is not
    offered.
    """
    shell.completed("fleet hosts -i program ")
    shell.completed("fleet hosts ")
    assert not (folder / "ran").exists()


def test_every_shell_is_driven():
    """The scripts that there are, are those that are tested."""
    assert set(SHELLS) == set(START)


def test_all_commands_and_options_are_offered(folder):
    """What click knows."""
    commands = asked("fleet ", folder)
    assert {"collect", "snapshot", "hosts", "completion"} <= set(commands)
    assert {"--limit", "--failed", "--inventory"} <= set(asked("fleet hosts --", folder))


def test_groups_come_first_and_each_name_once(folder):
    """All groups with hosts in them, then all hosts, but those with signs that a shell reads."""
    assert asked("fleet hosts ", folder) == [
        *("all", "web", "db", "alpha", "beta", "größe", "gamma", "2001:db8::7"),
    ]
    assert asked("fleet hosts web,!", folder)[:2] == ["web,!all", "web,!web"]


@pytest.mark.parametrize(
    ("words", "environment"),
    [
        ("-i other.yaml", {}),
        ("--inventory=other.yaml", {}),
        ("", {"FLEET_INVENTORY": "other.yaml"}),
        ("-i other.yaml", {"FLEET_INVENTORY": "inventory.yaml"}),
    ],
)
def test_the_inventory_that_is_named_counts(folder, words, environment):
    """-i before FLEET_INVENTORY before inventory.yaml, as for the command itself."""
    assert asked(f"fleet hosts {words} de", folder, **environment) == ["delta"]


@pytest.mark.parametrize(
    "source", ["broken.yaml", "nothing.yaml", "program", "-", "/dev/stdin", "pipe", "parts"]
)
def test_what_cannot_be_read_at_once_offers_nothing(folder, source):
    """Silently, and without waiting: broken, missing, programs, pipes, a folder with a program."""
    if not (folder / "pipe").exists():
        os.mkfifo(folder / "pipe")
        (folder / "parts").mkdir()
        (folder / "parts/a.yaml").write_text(INVENTORY)
        (folder / "parts/program").symlink_to("../program")
    started = time.monotonic()
    assert asked(f"fleet hosts -i {source} al", folder) == []
    assert time.monotonic() - started < 5
    assert not (folder / "ran").exists()


def test_letters_that_the_shell_does_not_have_are_left_out(folder):
    """A name that cannot be written in the shell's encoding hides no other."""
    said = asked("fleet hosts ", folder, PYTHONIOENCODING="ascii")
    assert said == ["all", "web", "db", "alpha", "beta", "gamma", "2001:db8::7"]


def test_bash_is_told_no_more_than_its_own_word(folder):
    """After `:` outside of quotes bash replaces what follows; within quotes the whole word."""
    breaks = {"COMP_WORDBREAKS": " \t\n\"'@><=;|&(:"}
    assert asked("fleet hosts web:be", folder, "bash", **breaks) == ["beta"]
    assert asked("fleet hosts 'web:be", folder, "bash", **breaks) == ["web:beta"]
    assert asked("fleet hosts web:be", folder, "bash", COMP_WORDBREAKS=" ") == ["web:beta"]


def test_no_network_is_used(folder):
    """No name is resolved and nothing connected to, nor is what could do so loaded."""
    program = """if True:
        import sys
        used = []
        sys.addaudithook(lambda name, _: used.append(name) if name.startswith("socket.") else None)
        from fleet.cli import main
        assert main([]) == 0
        assert not used, used
        assert not {"paramiko", "fabric", "questdb"} & set(sys.modules)
    """
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "COMP_WORDS": "fleet collect ga"}
    env |= {"_FLEET_COMPLETE": "zsh_complete"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stdout) == (0, "plain\ngamma\n_\n"), done.stderr


def test_a_shell_that_is_not_known(folder):
    """A strange instruction is a failure, and nothing is printed."""
    done = fleet(env={**os.environ, "_FLEET_COMPLETE": "csh_complete"})
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    assert fleet("completion", "csh").returncode == 2
