"""`fleet trust` without a network: fetched keys against what is known, what is written and said."""

import json
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
import pytest

from fleet.allowance import Allowance
from fleet.commands.trust import command
from fleet.errors import FleetError, HostError
from fleet.inventory.host import Host
from fleet.prepare import say
from fleet.status import Phase, Status
from tests.lab.inventory import write_inventory
from tests.trust_texts import MadeKey, block, made

ED, RSA, OTHER = made("ed25519"), made("rsa"), made("ed25519", "other")
B_ED = made("ed25519", "b")

Shows = Mapping[str, Sequence[MadeKey] | HostError]


class Fleet:
    """An inventory, and what its hosts show."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
        self.folder, self.capsys = folder, capsys
        self.inventory = folder / "inventory.yaml"
        self.state = folder / "state"
        self.known_hosts = folder / "users_known_hosts"
        self.known_hosts.write_text("")
        self.shows: Shows = {}
        self.fetched: list[str] = []
        monkeypatch.setattr("fleet.transport.open.open_ssh", self._open)

    @contextmanager
    def _open(
        self, _hosts: Sequence[Host], _settings: object, _routes: object
    ) -> Iterator["Fleet"]:
        yield self

    def shown_keys(self, host: Host, _allowance: Allowance) -> tuple[MadeKey, ...]:
        """In place of the transport's."""
        self.fetched.append(host.name)
        shown = self.shows[host.name]
        if isinstance(shown, HostError):
            raise shown
        return tuple(shown)

    def hosts(self, **hosts: Mapping[str, object]) -> None:
        """Write the inventory."""
        write_inventory(self.inventory, hosts)

    def file(self, name: str, text: str) -> str:
        """A file for --from."""
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def trust(self, *words: str) -> tuple[int, str, str]:
        """Run it → the exit status, and both outputs."""
        argv = [*words, "-i", str(self.inventory), "--state-dir", str(self.state)]
        argv += ["--known-hosts", str(self.known_hosts), "-F", "none"]
        try:
            status = command.main(argv, "fleet trust", standalone_mode=False)
        except FleetError as error:
            say(f"fleet: {error}")
            status = error.exit_code
        except click.ClickException as error:
            error.show()
            status = 2
        said = self.capsys.readouterr()
        assert "Traceback" not in said.err
        return status, said.out, said.err

    @property
    def recorded(self) -> list[str]:
        """The key lines of the state directory's own file."""
        path = self.state / "known_hosts"
        return path.read_text().splitlines()[1:] if path.exists() else []


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> Fleet:
    """Two hosts, `a` on a port of its own, `b` on 22."""
    fleet = Fleet(tmp_path, monkeypatch, capsys)
    fleet.hosts(
        a={"ansible_host": "10.0.0.1", "ansible_port": 2222}, b={"ansible_host": "10.0.0.2"}
    )
    fleet.shows = {"a": [RSA, ED], "b": [B_ED]}
    return fleet


A_LINES = [f"[10.0.0.1]:2222 {ED.text}", f"[10.0.0.1]:2222 {RSA.text}"]
B_LINE = f"10.0.0.2 {B_ED.text}"


def test_it_only_shows(two: Fleet) -> None:
    """Without a flag nothing is recorded, and what to do is said."""
    status, out, err = two.trust()
    assert status == 5
    assert [line.split() for line in out.splitlines()] == [
        ["HOST", "ADDRESS", "TYPE", "FINGERPRINT", "STANDING"],
        ["a", "10.0.0.1:2222", ED.kind, ED.fingerprint, "new"],
        ["a", "10.0.0.1:2222", RSA.kind, RSA.fingerprint, "new"],
        ["b", "10.0.0.2:22", B_ED.kind, B_ED.fingerprint, "new"],
    ]
    assert "nothing is recorded for a,b: " in err
    assert "--from FILE" in err
    assert "--accept-new" in err
    assert not two.state.exists()


def test_first_use(two: Fleet) -> None:
    """--accept-new records all; then all is known, with its place, and nothing is said."""
    status, out, err = two.trust("--accept-new")
    assert status == 0
    assert out.count("new, recorded") == 3
    assert f"recorded in {two.state}/known_hosts: 3 keys of 2 hosts" in err
    assert two.recorded == [B_LINE, *A_LINES]
    assert stat.S_IMODE((two.state / "known_hosts").stat().st_mode) == 0o600
    status, out, err = two.trust()
    assert (status, err) == (0, "")
    assert out.count(f"known ({two.state}/known_hosts:") == 3
    before = (two.state / "known_hosts").stat().st_ino
    assert two.trust("--accept-new")[0] == 0
    assert (two.state / "known_hosts").stat().st_ino == before


def test_a_part_of_the_inventory(two: Fleet) -> None:
    """Only what is targeted is fetched and recorded."""
    assert two.trust("b", "--accept-new")[0] == 0
    assert two.fetched == ["b"]
    assert two.recorded == [B_LINE]
    status, _out, _err = two.trust()
    assert status == 3


def test_console_output(two: Fleet) -> None:
    """A console's fingerprints hold for the one host that is targeted."""
    console = two.file("console.txt", block([ED, RSA]))
    status, out, _err = two.trust("a", "--from", console)
    assert status == 0
    assert out.count("new, recorded") == 2
    assert two.recorded == A_LINES


def test_console_output_for_several(two: Fleet) -> None:
    """It could vouch for the wrong one: refused before anything is sent, with the way out."""
    console = two.file("console.txt", block([ED]))
    status, out, err = two.trust("--from", console)
    assert (status, out) == (2, "")
    assert "it names no host, so it holds for one only, and 2 are targeted" in err
    assert "fleet trust HOST --from FILE" in err
    assert two.fetched == []


def test_a_known_hosts_file(two: Fleet) -> None:
    """Each host is compared with the lines of its name; what differs is an error line."""
    lines = f"[10.0.0.1]:2222 {ED.text}\n10.0.0.2 {OTHER.text}\n"
    status, _out, err = two.trust("--from", two.file("hosts", lines))
    assert status == 3
    assert f"fleet: b shows ssh-ed25519 {B_ED.fingerprint}, but the file says " in err
    assert two.recorded == A_LINES[:1]


def test_inventory_names_in_a_file(two: Fleet) -> None:
    """Lines may have the inventory's names as well, with the port that is meant."""
    lines = f"[a]:2222 {ED.text}\nb {B_ED.text}\n"
    assert two.trust("--from", two.file("hosts", lines))[0] == 0
    assert two.recorded == [B_LINE, A_LINES[0]]


def test_a_file_and_first_use(two: Fleet) -> None:
    """Hosts of which the file says nothing are taken on first use, when that is asked for."""
    file = two.file("hosts", f"[10.0.0.1]:2222 {ED.text}\n")
    status, _out, err = two.trust("--from", file)
    assert status == 3
    assert "fleet: the files given with --from say nothing of b" in err
    assert two.trust("--from", file, "--accept-new")[0] == 0
    assert two.recorded == [B_LINE, A_LINES[0]]


def test_replace(two: Fleet) -> None:
    """A changed key needs --replace, which drops the old ones of that host alone."""
    two.trust("--accept-new")
    two.shows = {"a": [OTHER], "b": [OTHER]}
    file = two.file("new.txt", OTHER.listed())
    status, out, err = two.trust("a", "--from", file)
    assert status == 5
    assert "changed, refused" in out
    assert "--replace a records it" in err
    assert two.recorded == [B_LINE, *A_LINES]
    status, out, _err = two.trust("a", "--from", file, "--replace", "a")
    assert status == 0
    assert "changed, recorded" in out
    assert two.recorded == [B_LINE, f"[10.0.0.1]:2222 {OTHER.text}"]
    status, _out, err = two.trust("--accept-new")
    assert status == 3
    assert "find out why" in err
    assert two.trust("--accept-new", "--replace", "b")[0] == 0
    assert two.recorded[0] == f"10.0.0.2 {OTHER.text}"


def test_old_keys_elsewhere(two: Fleet) -> None:
    """What we do not edit is named, with the command that removes the old key."""
    two.known_hosts.write_text(f"# mine\n[10.0.0.1]:2222 {ED.text}\n")
    two.shows = {"a": [OTHER]}
    file = two.file("new.txt", OTHER.listed())
    status, _out, err = two.trust("a", "--from", file, "--replace", "a")
    assert status == 0
    assert f"ssh-keygen -R '[10.0.0.1]:2222' -f {two.known_hosts} removes it" in err
    assert ED.text in two.known_hosts.read_text()


def test_old_keys_in_the_inventory(two: Fleet) -> None:
    """fleet_host_key counts alone: the line that must stand there is printed, and it is no 0."""
    two.hosts(a={"ansible_host": "10.0.0.1", "fleet_host_key": ED.text})
    two.shows = {"a": [OTHER]}
    file = two.file("new.txt", OTHER.listed())
    status, _out, err = two.trust("a", "--from", file, "--replace", "a")
    assert status == 5
    assert "a: fleet_host_key in the inventory still names the old key" in err
    assert OTHER.text in err


def test_other_sources(two: Fleet) -> None:
    """The standing says who knows a key."""
    two.hosts(
        a={"ansible_host": "10.0.0.1", "fleet_host_key": ED.fingerprint},
        b={"ansible_host": "10.0.0.2"},
    )
    two.known_hosts.write_text(f"{B_LINE}\n")
    status, out, err = two.trust()
    assert (status, err) == (0, "")
    assert "known (fleet_host_key)" in out
    assert f"known ({two.known_hosts}:1)" in out


def test_revoked(two: Fleet) -> None:
    """A key that is marked is shown so, and never recorded."""
    two.known_hosts.write_text(f"@revoked * {B_ED.text}\n")
    assert "revoked" in two.trust("b")[1]
    status, out, err = two.trust("b", "--accept-new")
    assert status == 5
    assert "revoked, refused" in out
    assert "never recorded" in err
    assert two.recorded == []


def test_alias(two: Fleet) -> None:
    """HostKeyAlias is the name under which a key is recorded."""
    two.hosts(
        a={
            "ansible_host": "10.0.0.1",
            "ansible_port": 2222,
            "ansible_ssh_common_args": "-o HostKeyAlias=first",
        }
    )
    assert two.trust("--accept-new")[0] == 0
    assert two.recorded == [f"first {ED.text}", f"first {RSA.text}"]


def test_dead_hosts(two: Fleet) -> None:
    """They are lines with their statuses, and hold up nobody."""
    two.hosts(
        a={"ansible_host": "10.0.0.1", "ansible_port": 2222},
        b={"ansible_host": "10.0.0.2"},
        gone={"ansible_host": "10.0.0.3"},
        wrong={"ansible_host": "10.0.0.4", "ansible_port": 0},
    )
    failure = HostError(Status.JUMP_FAILED, Phase.CONNECT, "no way\x1b[2J", via="door")
    two.shows = {**two.shows, "gone": failure}
    status, out, _err = two.trust("--accept-new")
    assert status == 3
    assert two.recorded == [B_LINE, *A_LINES]
    rows = {line.split()[0]: line for line in out.partition("\n\n")[2].splitlines()}
    assert rows["gone"].split()[2:] == ["jump_failed", "via", "door:", "no", "way\\x1b[2J"]
    assert rows["wrong"].split()[2] == "bad_config"


def test_json(two: Fleet) -> None:
    """Programs get every key with its standing, and dead hosts with their statuses."""
    two.shows = {**two.shows, "b": HostError(Status.DNS, Phase.RESOLVE, "no such name")}
    status, out, _err = two.trust("--format", "json", "--accept-new")
    assert status == 3
    first, second = json.loads(out)["hosts"]
    assert first["known_as"] == "[10.0.0.1]:2222"
    assert first["trusted"] is True
    assert first["keys"][0] == {
        "type": "ssh-ed25519",
        "fingerprint": ED.fingerprint,
        "standing": "new",
        "source": None,
        "action": "recorded",
        "reason": None,
    }
    assert (second["status"], second["detail"], second["keys"]) == ("dns", "no such name", [])


def test_maintenance(two: Fleet) -> None:
    """A host under maintenance counts in no exit status."""
    two.hosts(
        a={"ansible_host": "10.0.0.1", "ansible_port": 2222},
        b={"ansible_host": "10.0.0.2", "fleet_state": "maintenance"},
    )
    two.shows = {**two.shows, "b": HostError(Status.DNS, Phase.RESOLVE, "no such name")}
    assert two.trust("--accept-new")[0] == 0


def test_local(two: Fleet) -> None:
    """The central host itself has no door, and is no failure."""
    two.hosts(a={"fleet_connection": "local"})
    status, out, _err = two.trust("--accept-new")
    assert status == 0
    assert "no SSH, no host key" in out
    assert two.fetched == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--replace", "a"], "--replace: expected --from FILE beside it, or --accept-new"),
        (["b", "--replace", "a", "--accept-new"], "'a' is none of the targeted hosts"),
        (["--from", "/nonexistent/file"], "--from: '/nonexistent/file': No such file"),
        (["--from", "/"], "--from: '/': Is a directory"),
        (["--from", "/dev/null"], "it is empty: expected the console output"),
        (["--from", "-", "-i", "-"], "standard input can be read once only"),
        (["--from", "x", "--from", "x"], "--from: the same file is given twice"),
    ],
)
def test_what_cannot_be_used(two: Fleet, words: list[str], said: str) -> None:
    """It is one line before anything is sent."""
    status, out, err = two.trust(*words)
    assert (status, out) == (2, "")
    assert said in err
    assert two.fetched == []


def test_a_state_directory_that_cannot_be_used(two: Fleet) -> None:
    """It is one line that names the folder."""
    two.state.write_text("a file")
    status, _out, err = two.trust("--accept-new")
    assert status == 2
    assert f"--state-dir: {two.state} cannot be used: " in err


def test_a_redirect_of_powershell(two: Fleet) -> None:
    """UTF-16 with its mark is read."""
    path = two.folder / "console.txt"
    path.write_bytes(block([ED]).encode("utf-16"))
    assert two.trust("a", "--from", str(path))[0] == 0


def test_two_names_for_one_address(two: Fleet) -> None:
    """A second host at the same address is judged by what was recorded for the first one."""
    same = {"ansible_host": "10.0.0.1", "ansible_port": 2222}
    two.hosts(a=same, again=same, other=same)
    two.shows = {"a": [ED], "again": [ED], "other": [OTHER]}
    status, out, err = two.trust("--accept-new")
    assert status == 3
    assert "known (recorded for a)" in out
    assert "changed, refused" in out
    assert "not the key known for it (recorded for a)" in err
    assert two.recorded == A_LINES[:1]


def test_another_run_meanwhile(two: Fleet) -> None:
    """What another run has recorded while keys were fetched counts: a first use is none then."""
    fetch = two.shown_keys

    def slow(host: Host, allowance: Allowance) -> tuple[MadeKey, ...]:
        two.state.mkdir(exist_ok=True)
        (two.state / "known_hosts").write_text(f"10.0.0.2 {OTHER.text}\n")
        return fetch(host, allowance)

    two.shown_keys = slow  # type: ignore[method-assign]
    status, _out, err = two.trust("b", "--accept-new")
    assert status == 5
    assert "--replace b" in err
    assert two.recorded == []
    assert (two.state / "known_hosts").read_text() == f"10.0.0.2 {OTHER.text}\n"


def test_many_errors(two: Fleet) -> None:
    """A hundred refused hosts are few lines, and those without a word in the file are one."""
    names = [f"web{number:03d}" for number in range(100)]
    places = {name: {"ansible_host": f"10.0.1.{at}"} for at, name in enumerate(names)}
    two.hosts(**places, **{f"db{number}": {} for number in range(9)})
    two.shows = {name: [ED] for name in [*names, *(f"db{number}" for number in range(9))]}
    lines = "".join(f"10.0.1.{at} {OTHER.text}\n" for at in range(100))
    status, _out, err = two.trust("--from", two.file("hosts", lines))
    assert status == 5
    assert len(err.splitlines()) == 26
    assert "… and 76 more keys that are refused" in err
    assert "say nothing of db[0-8]" in err
