"""Ansible's own answers to generated host patterns.

`python -m tests.oracle.patterns` reads a job in JSON (`Job`) from standard input and prints, in
JSON, what ansible-core makes of it: the inventories as it reads them, and for every case the hosts
in order, or that it is an error, and the terms that it warned of. It runs in a process of its own,
for the order of hosts may hang on PYTHONHASHSEED, which a process has from its start; and on where
in memory groups lie, which is why each process reads the inventories several times, among litter.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

SEEDS = (0, 1, 2)
READINGS = 4
"""In each process: two groups lie in either order, so three alone would agree by chance."""

REGIONS = ("eu", "us")
STEMS = ("web", "db", "api", "cache")
LOCALHOST = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked: an inventory by its number, patterns, a limit; and of which constructs."""

    inventory: int
    patterns: tuple[str, ...]
    limit: str | None
    constructs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of it: hosts in order (None: an error), and the expressions without a match."""

    hosts: tuple[str, ...] | None
    missed: frozenset[str]


@dataclass(frozen=True, slots=True)
class Tree:
    """An inventory as Ansible reads it: hosts in order, and each group's hosts in order."""

    hosts: tuple[str, ...]
    groups: dict[str, tuple[str, ...]]


# --- inventories


def make_inventory(random: Random) -> dict[str, Any]:
    """A document of Ansible's YAML: nested groups, hosts in several of them, odd names."""
    hosts = [f"{stem}{n}.{region}" for stem in STEMS[:2] for n in (1, 2) for region in REGIONS]
    hosts += [f"{random.choice(STEMS)}{n:02d}" for n in range(1, 8)]
    hosts += ["cache-a", "cache-b", "twin", "10.0.0.7", "10.0.0.17", "2001:db8::7", "Web9"]
    hosts += random.sample(["localhost", "127.0.0.1", "ungr", "dot.ted"], 2)
    hosts = list(dict.fromkeys(hosts))
    random.shuffle(hosts)
    groups = ["web", "db", "eu", "prod", "empty", "twin", "rack-1", "web_eu"]
    groups += [f"tier{n}" for n in range(1, 9)]
    random.shuffle(groups)
    document: dict[str, Any] = {"all": {"hosts": {}, "children": {}}}
    for place, group in enumerate(groups):
        own = [] if group == "empty" else random.sample(hosts, random.choice([0, 1, 2, 5]))
        later = groups[place + 1 :]
        below = random.sample(later, min(len(later), random.choice([0, 1, 2, 3])))
        entry: dict[str, Any] = {"hosts": dict.fromkeys(own)}
        if below and group != "empty":
            entry["children"] = dict.fromkeys(below)
        document[group] = entry
    document["web"]["hosts"]["twin"] = None  # alone in `all`, it would put the group in `ungrouped`
    document["all"]["hosts"] = dict.fromkeys(hosts if random.random() < 0.5 else hosts[::2])
    return document


# --- patterns


class Patterns:
    """Generates cases for one inventory; `files` are files of patterns, for limits."""

    def __init__(self, random: Random, number: int, tree: dict[str, Any], files: Sequence[str]):
        self._random = random
        self._number = number
        groups = [name for name in tree if name != "all"]
        hosts = dict.fromkeys(name for group in tree.values() for name in group["hosts"])
        self._groups, self._hosts, self._files = groups, list(hosts), files
        self._constructs: Counter[str] = Counter()

    def case(self) -> Case:
        """A pattern or several, sometimes within a limit."""
        self._constructs.clear()
        random = self._random
        patterns = tuple(self._pattern() for _ in range(random.choices([0, 1, 2], [1, 12, 3])[0]))
        limit = None
        if random.random() < 0.2:
            limit = self._pattern()
            self._constructs["limit"] += 1
            if random.random() < 0.4:
                limit = random.choice(["@{}", "@{},{limit}", "@{},!web", "all,@{}"]).format(
                    random.choice(self._files), limit=limit
                )
                self._constructs["@file"] += 1
        if len(patterns) != 1:
            self._constructs[f"{len(patterns)} patterns"] += 1
        return Case(self._number, patterns, limit, tuple(self._constructs))

    def file(self) -> str:
        """The lines of a file of patterns."""
        lines = [self._random.choice(["", "", "!", "&"]) + self._atom() for _ in range(4)]
        if self._random.random() < 0.5:
            lines = [*lines, self._random.choice(self._hosts), "", "# by hand", "  "]
        if self._random.random() < 0.5:
            lines.append(self._random.choice([",", ":", " "]).join(self._hosts[:2]))
        return "\n".join(lines) + self._random.choice(["", "\n"])

    def _pattern(self) -> str:
        random = self._random
        terms = [self._term() for _ in range(random.choices([1, 2, 3, 4], [5, 4, 3, 1])[0])]
        separator = random.choice([",", ",", ":", ", "])
        if len(terms) > 1:
            self._constructs["':'" if separator == ":" else "','"] += 1
        pattern = separator.join(terms)
        if random.random() < 0.05:
            self._constructs["blanks"] += 1
            pattern = random.choice([f" {pattern} ", f",{pattern}", f"{pattern},,", f"{pattern}:"])
        return pattern

    def _term(self) -> str:
        sign = self._random.choices(["", "&", "!"], [8, 1, 2])[0]
        if sign:
            self._constructs[sign] += 1
        return sign + self._atom()

    def _atom(self) -> str:
        kinds = {
            self._host: 4,
            self._group: 5,
            self._glob: 5,
            self._regex: 3,
            self._subscripted: 7,
            self._odd: 2,
        }
        return self._random.choices(list(kinds), list(kinds.values()))[0]()

    def _host(self) -> str:
        self._constructs["host"] += 1
        return self._random.choice(self._hosts)

    def _group(self) -> str:
        self._constructs["group"] += 1
        return self._random.choice([*self._groups, "all", "ungrouped"])

    def _glob(self) -> str:
        """A name with some of it replaced."""
        self._constructs["glob"] += 1
        name = self._random.choice([*self._hosts, *self._groups])
        at = self._random.randrange(len(name))
        end = self._random.randrange(at, len(name)) + 1
        one = name[at]
        return self._random.choice(
            [
                "*",
                f"{name[:at]}*{name[end:]}",
                f"{name[:at]}?{name[at + 1 :]}",
                f"*{name[at:end]}*",
                f"{name[:at]}[{one}x-z]{name[at + 1 :]}",
                f"{name[:at]}[!{one}]{name[at + 1 :]}",
                f"{name[:at]}[!x]*",
                name[:at] + "[12]*",
            ]
        )

    def _regex(self) -> str:
        self._constructs["~"] += 1
        name = self._random.choice([*self._hosts, *self._groups])
        return "~" + self._random.choice(
            [
                name,
                name[: len(name) // 2],
                name[1:],
                f".*{name[-1]}$",
                "(web|db)[0-9]+",
                "[^w]",
                "",
                "web[0]",
                "(?i)WEB",
                *(["[", "(", "*a", "a{2,1}"] if self._random.random() < 0.1 else []),
            ]
        )

    def _subscripted(self) -> str:
        self._constructs["subscript"] += 1
        random = self._random
        kind = random.choices([self._group, self._glob, self._host], [5, 3, 1])[0]
        expression = kind()
        while expression in LOCALHOST:  # without an entry they are hosts for Ansible
            expression = kind()
        low, high = random.choice([0, 0, 1, 2, 3, 9]), random.choice([0, 1, 2, 3, 5, 30])
        subscript = random.choice(
            [f"{low}", f"-{low}", f"{low}:{high}", f"{low}:{high}", f"{low}:", f"{low}-{high}"]
        )
        return f"{expression}[{subscript}]"

    def _odd(self) -> str:
        self._constructs["odd"] += 1
        return self._random.choice(
            ["wbe", "nobody*", "localhost", "127.0.0.1", "::1", "10.0.0.7:22", "ALL", "web[", "[0]",
             "2001:db8::7", "web[0:]x", "web[0][1]", "web[1:-1]", "web[:2]", "!", "!db", "~"]
        )  # fmt: skip


def make_cases(
    random: Random, folder: Path, inventories: int, count: int
) -> tuple[list[str], list[Case]]:
    """Inventories and files of patterns, written into the folder; and cases about them."""
    paths, generators = [], []
    for number in range(inventories):
        document = make_inventory(random)
        path = folder / f"inventory{number}.yaml"
        path.write_text(json.dumps(document))
        paths.append(str(path))
        files = [folder / f"limit{number}{letter}.txt" for letter in "abc"]
        generators.append(Patterns(random, number, document, [str(file) for file in files]))
        for file in files:
            file.write_text(generators[-1].file())
    cases = [generators[number % inventories].case() for number in range(count)]
    return paths, cases


# --- asking


def ask_ansible(
    folder: Path, paths: Sequence[str], cases: Sequence[Case]
) -> list[tuple[list[Tree], list[Answer]]]:
    """Ansible's trees and answers, four readings under each of the three hash seeds."""
    job = json.dumps({"paths": paths, "cases": [asdict(case) for case in cases]})
    (folder / "job.json").write_text(job)
    (folder / "ansible.cfg").touch()
    running = []
    for seed in SEEDS:
        environ = {
            **os.environ,
            "PYTHONHASHSEED": str(seed),
            "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),  # not one that lies about
            "ANSIBLE_HOME": str(folder / f"ansible-{seed}"),
            "ANSIBLE_INVENTORY_ENABLED": "yaml",
        }
        with (folder / "job.json").open() as source:
            running.append(
                subprocess.Popen(
                    [sys.executable, "-m", "tests.oracle.patterns"],
                    stdin=source,
                    stdout=subprocess.PIPE,
                    env=environ,
                    text=True,
                )
            )
    found = []
    for process in running:
        printed, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        for reading in json.loads(printed):
            trees = [
                Tree(tuple(one["hosts"]), {name: tuple(of) for name, of in one["groups"].items()})
                for one in reading["trees"]
            ]
            answers = [
                Answer(
                    None if one["hosts"] is None else tuple(one["hosts"]), frozenset(one["missed"])
                )
                for one in reading["answers"]
            ]
            found.append((trees, answers))
    return found


def _main() -> None:
    """Answer a job, as Ansible."""
    from ansible.inventory import manager as module
    from ansible.inventory.manager import InventoryManager
    from ansible.parsing.dataloader import DataLoader

    job = json.load(sys.stdin)
    missed: list[str] = []

    class Recorder:
        """Stands where Ansible's own display does."""

        def warning(self, text: str) -> None:
            said, colon, expression = text.partition("ignoring: ")
            if colon and said.startswith("Could not match"):
                missed.append(expression)

        def __getattr__(self, _name: str) -> Any:
            return lambda *_args, **_options: None

    module.display = Recorder()

    class Litter:
        """As large as a group."""

        def __init__(self) -> None:
            self.of = None

    def read() -> dict[str, Any]:
        litter = [Litter() for _ in range(20_000)]
        Random().shuffle(litter)
        del litter[10_000:]
        managers = [InventoryManager(loader=DataLoader(), sources=[path]) for path in job["paths"]]
        answers = []
        for case in job["cases"]:
            inventory = managers[case["inventory"]]
            inventory.clear_caches()
            missed.clear()
            hosts: list[str] | None
            try:
                inventory.subset(case["limit"])
                chosen = inventory.list_hosts(list(case["patterns"]) or ["all"])
                hosts = [host.name for host in chosen if not host.implicit]
            except Exception:  # noqa: BLE001 - an error of Ansible's own, or Python's
                hosts = None
            answers.append({"hosts": hosts, "missed": list(missed)})
        trees = [
            {"hosts": list(inventory.hosts), "groups": inventory.get_groups_dict()}
            for inventory in managers
        ]
        return {"trees": trees, "answers": answers}

    json.dump([read() for _ in range(READINGS)], sys.stdout)


if __name__ == "__main__":
    _main()
