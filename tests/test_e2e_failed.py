"""`--failed`: the hosts that failed in the last sweep of a `--name`, on real nodes."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import fleet
from tests.lab.doors import Closed
from tests.lab.inventory import write_inventory
from tests.lab.lab import Lab
from tests.lab.standin import Crowd, crowd
from tests.questdb_double import Double, questdb_double

pytestmark = pytest.mark.e2e


class Scene:
    """Three nodes, a closed door and one in maintenance; a QuestDB; `fleet` against them."""

    def __init__(self, folder: Path, hosts: dict, known_hosts: str, double: Double) -> None:
        self.folder, self.hosts, self.double = folder, hosts, double
        self.inventory = write_inventory(folder / "inventory.yaml", hosts)
        (folder / "known_hosts").write_text(known_hosts)
        self.state = folder / "state"

    def run(self, command: str, *words: str):
        """A command with the words that lead here."""
        more = ["-i", str(self.inventory), "--state-dir", str(self.state), "-F", "none"]
        if command != "hosts":
            more += ["--known-hosts", str(self.folder / "known_hosts")]
            more += ["--questdb", self.double.conf]
        return fleet(command, *more, *words)

    def rewrite(self, hosts: dict) -> None:
        """The inventory becomes another."""
        write_inventory(self.inventory, hosts)

    @property
    def visited(self) -> set[str]:
        """Hosts with a row in hostStatus since this was asked last."""
        lines = self.double.rows.pop("hostStatus", [])
        return {line.split("host=")[1].split(",")[0] for line in lines}

    @property
    def record(self) -> list[str]:
        """The failed hosts on disk."""
        return json.loads((self.state / "failed/fleet").read_bytes())["hosts"]


@pytest.fixture(scope="module")
def many(lab: Lab) -> Iterator[Crowd]:
    """Three nodes that are well."""
    with crowd(lab, "failed", 3, rows=1, delay_s=0) as nodes:
        yield nodes


@pytest.fixture
def scene(lab: Lab, many: Crowd, tmp_path: Path) -> Iterator[Scene]:
    """All of it, for one test."""
    with questdb_double() as double:
        closed = Closed(lab)
        door = {"ansible_host": closed.address, "ansible_port": closed.port}
        hosts = dict(many.hosts)
        hosts["dead1"] = {**hosts["crowd0001"], **door}
        hosts["dead2"] = {**hosts["crowd0001"], **door}
        hosts["away"] = {**hosts["crowd0001"], **door, "fleet_state": "maintenance"}
        yield Scene(tmp_path, hosts, many.known_hosts, double)


def test_failed_hosts_are_visited_again_until_none_is_left(scene: Scene) -> None:
    """collect records, `--failed` targets, the next collect records anew, in the end nobody."""
    first = scene.run("collect")
    assert first.returncode == 3, first.stderr
    assert scene.record == ["dead1", "dead2"]
    assert scene.visited == set(scene.hosts)

    assert scene.run("hosts", "--failed").stdout == "dead1\ndead2\n"
    assert scene.run("hosts", "--failed", "all,!dead1", "--fold").stdout == "dead2\n"
    shown = scene.run("snapshot", "--failed", "--format", "json", "-l", "dead2")
    assert shown.returncode == 5
    assert [row["host"] for row in json.loads(shown.stdout)["hostStatus"]] == ["dead2"]
    assert scene.record == ["dead1", "dead2"]  # a snapshot that publishes nothing leaves it alone

    scene.rewrite({**scene.hosts, "dead1": scene.hosts["crowd0001"]})
    again = scene.run("collect", "--failed")
    assert again.returncode == 3, again.stderr
    assert scene.visited == {"dead1", "dead2"}
    assert scene.record == ["dead2"]

    scene.rewrite({**scene.hosts, "dead2": scene.hosts["crowd0002"]})
    published = scene.run("snapshot", "--publish", "--failed")
    assert published.returncode == 0, published.stderr
    assert scene.visited == {"dead2"}
    assert scene.record == []

    nobody = scene.run("collect", "--failed")
    assert nobody.returncode == 2
    assert nobody.stdout == ""
    told = "fleet: no host failed in the last sweep of 'fleet' (2"
    assert nobody.stderr.startswith(told), nobody.stderr
    assert scene.visited == set()


def test_what_has_no_record_or_a_damaged_one(scene: Scene) -> None:
    """Each is one clear line and exit 2; hosts that are gone are told, and the others taken."""
    none = scene.run("hosts", "--failed")
    assert (none.returncode, none.stdout) == (2, "")
    assert none.stderr == (
        f"fleet: --failed: no sweep of 'fleet' is recorded in {scene.state}; collect records its "
        "sweeps (--name, --state-dir)\n"
    )
    assert scene.run("collect", "dead1,dead2,crowd0001").returncode == 3
    other = scene.run("hosts", "--failed", "--name", "nightly")
    assert "no sweep of 'nightly' is recorded" in other.stderr

    scene.rewrite({name: value for name, value in scene.hosts.items() if name != "dead1"})
    gone = scene.run("hosts", "--failed")
    assert (gone.returncode, gone.stdout) == (0, "dead2\n")
    assert gone.stderr.endswith("), and no longer in the inventory: dead1\n")
    outside = scene.run("hosts", "--failed", "crowd*")
    assert outside.returncode == 2
    assert "none of the hosts that are meant failed in the last sweep" in outside.stderr
    assert outside.stderr.endswith("these did: dead[1-2]\n")

    file = scene.state / "failed/fleet"
    file.write_text('{"timestamp"')
    cut = scene.run("collect", "--failed")
    assert (cut.returncode, cut.stderr) == (
        2,
        f"fleet: --failed: {file} cannot be read: it is cut or changed; the next collect of "
        "'fleet' writes it anew\n",
    )
    file.unlink()
    file.mkdir()
    folder = scene.run("hosts", "--failed")
    assert (folder.returncode, "is no regular file" in folder.stderr) == (2, True)
    unwritten = scene.run("collect", "crowd0001")  # and a record that cannot be written
    assert (unwritten.returncode, unwritten.stdout, unwritten.stderr) == (0, "", "")
