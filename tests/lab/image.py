"""A container image made of this machine's own shell: nothing is pulled from anywhere."""

import io
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

from tests.lab.waiting import LabError

FILL = """
trap exit TERM
x=0123456789abcdef
i=0
while [ $i -lt {doublings} ]; do x=$x$x; i=$((i + 1)); done
while :; do sleep 1000 & wait $!; done
"""
"""Holds a variable of 16 bytes, doubled so often, and then sleeps: its memory stands still."""


def filled(doublings: int) -> list[str]:
    """The command of a container whose memory stands still: 16 bytes, doubled so often."""
    return ["sh", "-c", FILL.format(doublings=doublings)]


def tar(*programs: str) -> bytes:
    """A root file system of these programs (and `sh` and `sleep`), with what they are linked to."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        names: set[str] = set()
        for program in ("sh", "sleep", *programs):
            binary = shutil.which(program)
            if binary is None:
                raise LabError(f"{program} is not installed")
            names.add(f"bin/{program}")
            archive.add(Path(binary).resolve(), f"bin/{program}")
            for library in _libraries(Path(binary)):
                if (name := str(library).lstrip("/")) not in names:
                    names.add(name)
                    archive.add(library.resolve(), name)
    return packed.getvalue()


def _libraries(binary: Path) -> Iterator[Path]:
    """What `ldd` lists; a static program has none."""
    said = subprocess.run(["ldd", binary], check=False, capture_output=True, text=True)
    for path in re.findall(r"(/\S+) \(0x", said.stdout):
        yield Path(path)
