"""What the Engine API says of all containers that run, asked at one time, and what fleet reads."""

import http.client
import json
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fleet import probe
from fleet.sources.kernel import Reading, parse
from tests.guest.compare import Said, said

STATS = "stats?stream=false&one-shot=true"
WORDS = "sections=kernel source=docker window=0"


class Engine(http.client.HTTPConnection):
    """A connection to an engine's socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("engine", timeout=60)
        self.path = path

    def connect(self) -> None:
        """Instead of an address: the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))

    def get(self, path: str) -> Any:
        """An answer; None where there is none (a container that has gone)."""
        try:
            self.request("GET", f"/v1.41{path}")
            answer = self.getresponse()
            text = answer.read()
            return json.loads(text) if answer.status == 200 and text.strip() else None
        except (OSError, http.client.HTTPException):
            self.close()
            return None


class Api:
    """One engine's, with a connection of its own for each container that is asked for."""

    def __init__(self, path: Path, threads: int = 32) -> None:
        self.path = path
        self._pool = ThreadPoolExecutor(threads)

    def __enter__(self) -> "Api":
        return self

    def __exit__(self, *_error: object) -> None:
        self._pool.shutdown()

    def ask(self) -> dict[str, Said]:
        """Figures by full id, of each container that ran, the same run of it, while it was asked
        for. What they tell was read after the call.
        """
        listed = Engine(self.path).get("/containers/json") or ()
        answers = self._pool.map(self._of, [one["Id"] for one in listed])
        return dict(answer for answer in answers if answer is not None)

    def _of(self, id: str) -> tuple[str, Said] | None:
        engine = Engine(self.path)
        try:
            before = engine.get(f"/containers/{id}/json")
            stats = engine.get(f"/containers/{id}/{STATS}")
            after = engine.get(f"/containers/{id}/json")
        finally:
            engine.close()
        if not before or not stats or not after or _run(before) != _run(after):
            return None
        if not after["State"]["Running"] or "usage" not in stats["memory_stats"]:
            return None  # it ended meanwhile, and its figures are zeros
        return id, said(after, stats)


def _run(state: Any) -> Any:
    one = state["State"]
    return one["StartedAt"], one["Pid"], one["Status"]


def readings() -> Iterator[Reading]:
    """Both readings of one run of the probe on this machine, which asks Docker nothing."""
    done = subprocess.run(
        ["sh", "-c", f"{probe.COMMAND} -- {WORDS}"],
        check=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    answer = probe.cut(done.stdout)
    assert answer.whole, done.stdout[-500:]
    for section in ("kernel1", "kernel2"):
        yield parse(answer.lines(section))


def memory_bytes() -> int:
    """The machine's own memory."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "MemTotal":
            return int(value.split()[0]) * 1024
    raise AssertionError("no MemTotal in /proc/meminfo")
