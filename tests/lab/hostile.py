"""Nodes that flood, stall, lie and inject: what each does, and what may come of its visit.

A real sshd lets us in, and its login shell does to each address what the address's kind says. Nodes
that are hostile in the protocol itself are in `hostile_doors`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.lab.lab import Lab, free_port
from tests.lab.node import Node

TITLE = b"\x1b]0;owned\x07\x1b[2J\x1b[31m\x9b5n"
"""Sets a terminal's title, wipes it, colours it, asks it to answer."""

FORGED = b"\r\nfleet: 4040 hosts, 0 failed; forged\r\n"
"""What a summary says, on lines of its own."""

FIGURES = {
    "BlockIO": "1MB / 2MB",
    "CPUPerc": "1.00%",
    "Container": "",
    "ID": "",
    "MemPerc": "1.00%",
    "MemUsage": "1MiB / 2GiB",
    "Name": "app",
    "NetIO": "1kB / 2kB",
    "PIDs": "3",
}
GOOD_ID = "ab" * 32


def stats(id: str = GOOD_ID, **fields: str) -> str:
    """A line of `docker stats`."""
    return json.dumps({**FIGURES, "Container": id, "ID": id, **fields}, separators=(",", ":"))


def listed(id: str = GOOD_ID, image: str = "shop/app:1", service: str = "app") -> str:
    """A line of `docker ps`."""
    cells = [id, "app", image, "running", "bridge", service, "", "", ""]
    return json.dumps(cells, separators=(",", ":"))


def answer(
    stats_lines: Sequence[str | bytes] = (),
    ps_lines: Sequence[str | bytes] = (),
    *,
    version: int = 2,
    rc: int = 0,
    host: Sequence[str] = ("uptime 1000.00", "cpus 2"),
) -> bytes:
    """What a probe would print."""
    out = []
    for name, lines, status in (
        ("host", host, 0),
        ("tool", ["/usr/bin/docker"], 0),
        ("ps1", ps_lines, 0),
        ("stats", stats_lines, rc),
        ("clock", ["uptime 1002.00"], 0),
        ("ps2", ps_lines, 0),
    ):
        out += [f"@fleet {version} B {name}", *lines, f"@fleet {version} E {name} {status}"]
    out.append(f"@fleet {version} END")
    return b"".join((x if isinstance(x, bytes) else x.encode()) + b"\n" for x in out)


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to be hostile: what is printed, then what is run, and the statuses it may come to.

    `rows` are the bounds of its own rows in `containerStats`.
    """

    statuses: frozenset[str]
    out: bytes = b""
    err: bytes = b""
    then: str = "exit 0"
    rows: tuple[int, int] = (0, 0)


def _kind(statuses: str, **fields: Any) -> Kind:
    return Kind(frozenset(statuses.split()), **fields)


_HEAD, _TAIL = answer().split(b"@fleet 2 E stats")
FORMULAS = {
    "formula-is": "=cmd|'/C_calc'!A0",
    "formula-plus": "+1+cmd|calc",
    "formula-minus": "-2+3",
    "formula-at": "@SUM(A1)",
    "ilp": r"a,b=c\"d\\,host=web1",
    "quote": "\",'x",
}
"""Images, by the service beside them; each an id of its own."""


def _formula_id(number: int) -> str:
    return f"{number:02x}" * 32


_FORMULA_PS = [
    listed(_formula_id(number), image, f"{image[:1]}{service} x=1,y;=2")
    for number, (service, image) in enumerate(FORMULAS.items(), 1)
]
_FORMULA_STATS = [stats(_formula_id(number)) for number in range(1, len(FORMULAS) + 1)]

_BEFORE, _AFTER = (part.replace('"', r"\"") for part in stats("@").split('@","ID":"@'))
_MILLION = f"""BEGIN {{ while (1) {{
    id = sprintf("%064x", ++n)
    print "{_BEFORE}" id "\\",\\"ID\\":\\"" id "{_AFTER}"
}} }}"""
"""Prints valid rows without end, for awk(1)."""

KINDS: dict[str, Kind] = {
    "flood-stdout": _kind("bad_output timeout", then="exec yes"),
    "flood-stderr": _kind("timeout bad_output", then="exec yes sudo: sudo >&2"),
    "endless-line": _kind("bad_output timeout", then=r"exec tr '\000' x </dev/zero"),
    "random": _kind("bad_output timeout", then="exec cat /dev/urandom"),
    "blank-lines": _kind("bad_output timeout", then="exec yes ''"),
    "big-then-silent": _kind("timeout bad_output", then="yes 0123456 | head -c 4000000; sleep 600"),
    "a-million": _kind(
        "partial",
        out=_HEAD,
        then=f"exec awk '{_MILLION}'",
        rows=(1_000, 30_000),
    ),
    "escapes": _kind("bad_output", out=TITLE + FORGED, err=TITLE + FORGED),
    "escapes-in-stderr": _kind("bad_output", err=FORGED + TITLE + FORGED + TITLE),
    "denied-with-escapes": _kind(
        "docker_denied",
        out=answer(rc=1),
        err=TITLE + b"permission denied while trying to connect" + TITLE + FORGED,
    ),
    "down-with-escapes": _kind("docker_down", out=answer(rc=1), err=TITLE + FORGED + TITLE),
    "names-with-newlines": _kind(
        "bad_output",
        out=answer(
            [stats(Name="a\nfleet: forged"), stats("cd" * 32, Name="a\x1b]0;owned\x07")],
            [listed(service="a\nfleet: forged"), listed("cd" * 32, image="\x1b[2J")],
        ),
    ),
    "escapes-in-ps": _kind(
        "ok",
        out=answer(
            [stats()], [listed(image="a\x1b]0;owned\x07\n", service="\x1b[2J\nfleet: forged")]
        ),
        rows=(1, 1),
    ),
    "directions": _kind(
        "ok", out=answer([stats()], [listed(service="a\u202eb\u2028c\u200d")]), rows=(1, 1)
    ),
    "formulas": _kind(
        "ok", out=answer(_FORMULA_STATS, _FORMULA_PS), rows=(len(FORMULAS), len(FORMULAS))
    ),
    "markers-early-end": _kind("bad_output", out=b"@fleet 2 END\n" + answer([stats()])),
    "markers-twice": _kind(
        "ok", out=answer([stats()]) + answer([stats("ef" * 32)] * 2), rows=(1, 1)
    ),
    "markers-in-stderr": _kind("bad_output", err=answer([stats()], [listed()])),
    "markers-in-noise": _kind(
        "bad_output", out=b"x@fleet 2 B host\n @fleet 2 END\n@fleet  2 END\n@fleet 2 B UP\n"
    ),
    "markers-out-of-order": _kind(
        "bad_output", out=b"@fleet 2 B stats\n@fleet 2 B ps1\n@fleet 2 E stats 0\n@fleet 2 END\n"
    ),
    "version-0": _kind("probe_outdated", out=answer([stats()], version=0)),
    "version-9999": _kind("probe_outdated", out=answer([stats()], version=9999)),
    "numbers": _kind(
        "bad_output",
        out=answer(
            [
                stats("a1" * 32, CPUPerc="1e999%"),
                stats("a2" * 32, CPUPerc="NaN%"),
                stats("a3" * 32, CPUPerc="-1.00%"),
                stats("a4" * 32, PIDs="1" + "0" * 400),
                stats("a5" * 32, MemUsage="1e999MiB / infB"),
                stats("a6" * 32).replace('"3"', "1e999"),
                stats("a7" * 32).replace('"3"', "9" * 5000),
            ],
            host=["uptime 1e999", "clock " + "9" * 400, "cpus -1", "cpus NaN"],
        ),
    ),
    "huge-integers": _kind(
        "ok",
        out=answer([stats(PIDs="9" * 20, CPUPerc="9" * 30 + ".00%")], host=["cpus " + "9" * 30]),
        rows=(1, 1),
    ),
    "not-utf-8": _kind(
        "partial bad_output",
        out=answer([b'{"Name":"\xff\xfe\xc3"}', b"\xff" * 100, stats()], [b"[\xed\xa0\x80]"]),
        rows=(1, 1),
    ),
    "surrogates": _kind(
        "partial",
        out=answer(
            [stats(), stats("cd" * 32).replace('"app"', r'"\ud800"')],
            [listed().replace('"app","",', r'"\ud800\udfff\u0000","",')],
        ),
        rows=(1, 1),
    ),
    "nesting": _kind(
        "bad_output",
        out=answer(["[" * 60_000, '{"a":' * 10_000, "[" * 100_000], ["[" * 60_000]),
    ),
    "names-twice": _kind(
        "bad_output",
        out=answer([stats()[:-1] + ',"Name":"b"}', stats()[:-1] + ',"ID":"' + GOOD_ID + '"}']),
    ),
    "killed": _kind("bad_output ssh_error", out=b"", then="kill -9 $$"),
    "drip": _kind("timeout", then="while :; do printf x; sleep 1; done"),
    "hang": _kind("timeout", then="exec sleep 600"),
}
"""By name; one more, which has to know its victim, is made by `stolen_ids`."""


def stolen_ids(ids: Sequence[str]) -> Kind:
    """Says that another host's containers are its own."""
    lines = [stats(id) for id in ids]
    return _kind("ok", out=answer(lines, [listed(id) for id in ids]), rows=(len(ids), len(ids)))


class HostileNodes:
    """Many nodes that are one sshd, whose login shell does to each address what its kind says."""

    def __init__(self, lab: Lab, kinds: Mapping[str, Kind]) -> None:
        self.kinds = kinds
        self.addresses = {name: lab.address() for name in kinds}
        cases = "".join(
            f"{self.addresses[name]}) cat /run/home/{name}.out; cat /run/home/{name}.err >&2;\n"
            f"{kind.then} ;;\n"
            for name, kind in kinds.items()
        )
        shell = f"#!/bin/sh\nset -- $SSH_CONNECTION\ncase $3 in\n{cases}esac\n"
        self.node = Node(
            lab,
            f"hostile-{free_port()}",
            address="0.0.0.0",
            port=free_port("0.0.0.0"),
            shell="/run/bin/hostile",
            bin={"hostile": shell},
            sshd=["MaxStartups 5000", "LogLevel INFO"],
        )
        for name, kind in kinds.items():
            for end, data in (("out", kind.out), ("err", kind.err)):
                path = self.node.run_folder / "home" / f"{name}.{end}"
                path.write_bytes(data)
                path.chmod(0o644)

    def __enter__(self) -> "HostileNodes":
        self.node.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.node.__exit__(*error)

    @property
    def hosts(self) -> dict[str, dict[str, str | int]]:
        """An inventory's variables of every node."""
        common = self.node.variables
        return {name: {**common, "ansible_host": at} for name, at in self.addresses.items()}

    @property
    def known_hosts(self) -> str:
        """A known_hosts file for all of them."""
        return "".join(self.node.known_hosts_of(address) for address in self.addresses.values())
