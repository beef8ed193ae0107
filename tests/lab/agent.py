"""An ssh-agent of a test's own, with keys made on the spot."""

import os
import subprocess
from pathlib import Path

from tests.lab.lab import Lab
from tests.lab.node import write_script
from tests.lab.sshd import make_key


class Agent:
    """One ssh-agent; `env` is what leads a program to it."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.lab = lab
        self.name = name
        self.folder = lab.folder / name
        self.socket = self.folder / "socket"

    def __enter__(self) -> "Agent":
        self.folder.mkdir(mode=0o700)
        self.process = self.lab.start(self.name, ["ssh-agent", "-D", "-a", self.socket])
        self.lab.until(self.socket.exists, 10, self.process)
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.stop()

    @property
    def env(self) -> dict[str, str]:
        """The variables that name it."""
        return {"SSH_AUTH_SOCK": str(self.socket)}

    def add(self, key: Path, passphrase: str = "") -> None:
        """Give it a key, and the certificate beside it; an encrypted one with its passphrase."""
        ask = self.folder / "askpass"
        write_script(ask, f"#!/bin/sh\necho '{passphrase}'\n")
        subprocess.run(
            ["ssh-add", "-q", key],
            check=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env={
                **os.environ,
                **self.env,
                "SSH_ASKPASS": str(ask),
                "SSH_ASKPASS_REQUIRE": "force",
            },
        )

    def add_strangers(self, count: int) -> None:
        """Give it so many keys that open no door."""
        for number in range(count):
            self.add(make_key(self.folder / f"stranger-{number}"))
