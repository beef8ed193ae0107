"""Real shells in pseudo-terminals: what is typed, and what the line is then."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path

SHOW = "\x18z"
"""Ctrl-X z, bound to printing the line as it stands."""
CLEAR = "\x15"

START = {
    "bash": (
        ["bash", "--norc", "--noprofile", "-i"],
        'PS1="READY> "; eval "$(fleet completion bash)"; '
        """bind -x '"\\C-xz": printf "\\nLINE<%s>\\n" "$READLINE_LINE"'; echo SET-"UP"\n""",
    ),
    "zsh": (
        ["zsh", "-f", "-i"],
        "autoload -U compinit; compinit -u -D; unsetopt zle_bracketed_paste beep; "
        'eval "$(fleet completion zsh)"; '
        'show() { print -r -- $\'\\n\'"LINE<$BUFFER>" }; zle -N show; bindkey "^Xz" show; '
        'echo SET-"UP"\n',
    ),
    "fish": (
        ["fish", "--no-config", "--interactive"],
        "fleet completion fish | source; "
        "bind \\cxz 'printf \"\\nLINE<%s>\\n\" (commandline)'; echo SET-'UP'\n",
    ),
}


class Shell:
    """An interactive shell in `folder` that has read its completion script. A context manager."""

    def __init__(self, name: str, folder: Path, **environment: str) -> None:
        self.argv, self._set_up = START[name]
        self._folder = folder
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        kept: Mapping[str, str] = {"PATH": path, "HOME": str(folder), "TERM": "xterm"}
        self._environment = {**kept, "LC_ALL": "C.UTF-8", **environment}

    def __enter__(self) -> "Shell":
        self._pid, self._side = pty.fork()
        if self._pid == 0:  # the shell's own process
            os.chdir(self._folder)
            os.execvpe(self.argv[0], self.argv, self._environment)
        fcntl.ioctl(self._side, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
        self._until(r"[$%#>] ?")
        os.write(self._side, self._set_up.encode())
        self._until("SET-UP\r?\n")
        return self

    def __exit__(self, *_error: object) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._side)

    def completed(self, typed: str) -> str:
        """The line after `typed` and a Tab."""
        os.write(self._side, f"{typed}\t".encode())
        time.sleep(0.05)
        os.write(self._side, SHOW.encode())
        line = self._until(r"LINE<(.*?)>\r?\n")
        os.write(self._side, f"\x05{CLEAR}".encode())
        return line

    def printed(self, command: str) -> list[str]:
        """The lines that a command prints."""
        os.write(self._side, f"{command}; echo THE-'END'\n".encode())
        return self._until(r"(?s)\n(.*)THE-END\r?\n").splitlines()

    def _until(self, pattern: str, within_s: float = 20) -> str:
        """Read until something matches → its first group."""
        until, said = time.monotonic() + within_s, ""
        while (left := until - time.monotonic()) > 0:
            if not select.select([self._side], [], [], left)[0]:
                break
            said += os.read(self._side, 65536).decode(errors="replace")
            plain = re.sub(r"\x1b(\[[?0-9;>=]*[ -/]*[@-~]|[()][A-Z0-9]|[=>]|\][^\a]*\a)", "", said)
            if found := re.search(pattern, plain):
                return found[1] if found.groups() else found[0]
        raise AssertionError(f"{self.argv[0]} never said {pattern!r}, but {said!r}")
