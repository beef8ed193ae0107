"""`make pictures`: what `fleet` prints on a terminal, as pictures for the manual.

Real runs against the lab's nodes (see `tests.lab.shop`) in a pseudo-terminal; what it shows in the
end becomes docs/pictures/*.svg. They name no font to fetch: a reader's own monospace one will do.
"""

import fcntl
import io
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from tests.lab.lab import PROJECT, Lab
from tests.lab.pids import MARK
from tests.lab.shop import Shop
from tests.lab.waiting import LabError

FOLDER = PROJECT / "docs/pictures"

PICTURES: dict[str, tuple[int, tuple[str, ...]]] = {
    "hosts": (100, ("fleet hosts --graph", "fleet hosts --format table")),
    "snapshot": (120, ("fleet snapshot",)),
    "check": (120, ("fleet check db1 web04",)),
    "spool": (130, ("fleet collect", "fleet spool")),
}
"""Each picture: how wide the terminal is, and what is typed."""

THEME = TerminalTheme(
    (24, 26, 31),
    (216, 219, 226),
    [
        *((60, 64, 72), (224, 108, 117), (152, 195, 121), (229, 192, 123)),
        *((97, 175, 239), (198, 120, 221), (86, 182, 194), (216, 219, 226)),
    ],
)

SVG = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font-family: "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: {char_height}px;
  line-height: {line_height}px;
  font-variant-east-asian: full-width;
}}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def main() -> None:
    """Draw all pictures, or those that are named."""
    wanted = sys.argv[1:] or list(PICTURES)
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        with Lab(PROJECT / ".lab") as lab, Shop(lab) as shop:
            for name in wanted:
                width, commands = PICTURES[name]
                shown = "".join(f"$ {line}\n{typed(shop, line, width)}" for line in commands)
                (FOLDER / f"{name}.svg").write_text(drawn(name, shown, width))
                print(f"docs/pictures/{name}.svg")
    except LabError as error:
        sys.exit(f"pictures: {error}")


def typed(shop: Shop, line: str, width: int) -> str:
    """What a terminal shows after a command line has run in the shop's home."""
    main_side, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    folders = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = shop.environment | {"TERM": "xterm-256color", "PATH": folders}
    environment |= {MARK: str(shop.lab.folder)}
    environment.pop("COLUMNS", None)
    running = subprocess.Popen(
        ["sh", "-c", line],
        stdin=side,
        stdout=side,
        stderr=side,
        cwd=shop.home,
        env=environment,
        start_new_session=True,
    )
    os.close(side)
    said = bytearray()
    while piece := _read(main_side):
        said += piece
    os.close(main_side)
    running.wait(60)
    return screen(said.decode(errors="replace"))


def _read(descriptor: int) -> bytes:
    """The next piece; nothing when the other side is closed."""
    if not select.select([descriptor], [], [], 120)[0]:
        raise LabError("two minutes without a word")
    try:
        return os.read(descriptor, 65536)
    except OSError:
        return b""


def screen(said: str) -> str:
    """What is left on a terminal of what was written to it: a bar that went away is not.

    Understands what rich's bar writes: to the line's begin, a line up, a line erased.
    """
    lines, at = [""], 0
    for token in re.findall(r"\x1b\[[?0-9;]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", said):
        if token == "\n":
            at += 1
            lines += [""] * (at + 1 - len(lines))
        elif token == "\r":
            continue
        elif token.startswith("\x1b[") and token[-1] == "K":
            lines[at] = ""
        elif token.startswith("\x1b[") and token[-1] == "A":
            at = max(0, at - int(token[2:-1] or 1))
        elif not token.startswith("\x1b[") or token[-1] == "m":
            lines[at] += token
    return "\n".join(line.rstrip() for line in lines).rstrip("\n") + "\n"


def drawn(name: str, shown: str, width: int) -> str:
    """A terminal of this width that shows the text."""
    console = Console(
        record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    text = Text.from_ansi(shown.rstrip("\n"))
    text.highlight_regex(r"(?m)^\$ .*$", "bold")
    console.print(text, soft_wrap=False)
    title = f"fleet {name}" if name != "spool" else "fleet collect, fleet spool"
    return console.export_svg(title=title, theme=THEME, code_format=SVG, unique_id=f"fleet-{name}")


if __name__ == "__main__":
    main()
