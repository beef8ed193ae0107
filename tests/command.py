"""The command line as a user runs it: in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

FLEET = [sys.executable, "-m", "fleet"]


def fleet(
    *words: str | Path, env: Mapping[str, str] | None = None, timeout_s: float = 120
) -> "subprocess.CompletedProcess[str]":
    """Run `fleet WORDS` without a terminal; `env` replaces the whole environment."""
    return subprocess.run(
        [*FLEET, *(str(word) for word in words)],
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        stdin=subprocess.DEVNULL,
        env=dict(env) if env is not None else {**os.environ, "COLUMNS": "200"},
    )
