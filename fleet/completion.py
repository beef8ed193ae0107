"""What a shell offers after `fleet …<Tab>`: commands, options, their values, hosts and groups.

```
shell ─▶ its script ─▶ fleet, with VARIABLE set and the line up to the cursor ─▶ a candidate a line
```

The scripts and the search among commands and options are click's; ours are what an option's
metavar stands for (FILE, PATTERN, …), and how a line is cut into words. Nothing is said of
mistakes: an inventory that cannot be read offers nothing. No program is run and no network used.
"""

import contextlib
import os
import re
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    split_arg_string,
)

from fleet.completion_scripts import BASH, FISH, ZSH

VARIABLE = "_FLEET_COMPLETE"
TIME_S = 3.0
"""After so long nothing is offered: somebody waits."""

_CURSOR = "\1"
_BREAKS = "@:="
"""Where bash begins a new word though the shell does not."""

_ATOM = re.compile(r"(?P<before>(?:.*[,:])?[!&]?)(?P<begun>[^,:]*)", re.DOTALL)
_PLAIN = re.compile(r"[\w./%+][\w.:/%+@-]*")
"""Names that no shell reads anything in: an inventory's names may come from somebody's tags."""


Candidates = list[CompletionItem[str]]


def _path(kind: str) -> Callable[[click.Context, str], Candidates]:
    """The shell knows its files better than we do."""
    return lambda _ctx, begun: [CompletionItem(begun, type=kind)]


def _pattern(ctx: click.Context, begun: str) -> Candidates:
    """Groups and hosts for the last name of a pattern, with all that stands before it."""
    found = _ATOM.fullmatch(begun)
    if found is None:
        return []
    names = dict.fromkeys(name for several in _names(ctx) for name in several)
    matching = (name for name in names if name.startswith(found["begun"]))
    return [CompletionItem(found["before"] + name) for name in matching]


def _host(ctx: click.Context, begun: str) -> Candidates:
    """Hosts alone."""
    return [CompletionItem(name) for name in _names(ctx)[1] if name.startswith(begun)]


_BY_METAVAR = {
    "FILE": _path("file"),
    "PATH": _path("file"),
    "DIR": _path("dir"),
    "PATTERN": _pattern,
    "[PATTERN]...": _pattern,
    "HOST": _host,
}
_BY_OPTION = {"--host": _host}


class _Value(click.types.StringParamType):
    """A value that is completed; what it is otherwise does not matter here."""

    def __init__(self, candidates: Callable[[click.Context, str], Candidates]) -> None:
        self._candidates = candidates

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002 - click's signature
        incomplete: str,
    ) -> Candidates:
        """What is begun could become these."""
        return self._candidates(ctx, incomplete)


def script(shell: str) -> str:
    """The text that a shell reads once, to ask us from then on."""
    return _SHELLS[shell](click.Group(), {}, "fleet", VARIABLE).source_template % {
        "complete_func": "_fleet_completion",
        "complete_var": VARIABLE,
        "prog_name": "fleet",
    }


def answer(cli: click.Group, instruction: str) -> int:
    """Print the candidates that a shell's script asks for → the exit status."""
    shell = _SHELLS.get(instruction.removesuffix("_complete"))
    if shell is None:
        return 1
    for command in cli.commands.values():
        for param in command.params:
            by_option = (_BY_OPTION[name] for name in param.opts if name in _BY_OPTION)
            if known := next(by_option, _BY_METAVAR.get(param.metavar or "")):
                param.type = _Value(known)
    with _in_time(), contextlib.redirect_stderr(None), contextlib.suppress(Exception):
        if found := shell(cli, {}, "fleet", VARIABLE).complete():
            sys.stdout.write(f"{found}\n")
    return 0


class _Shell(ShellComplete):
    """What the three have in common."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the cursor's, and as much of that as stands before the cursor."""
        *words, last = split_arg_string(_line() + _CURSOR)
        return words[1:], last.removesuffix(_CURSOR)

    def get_completions(self, args: list[str], incomplete: str) -> Candidates:
        """Candidates for the whole word: of `--option=val` and `-oval` the option stays before."""
        option, equals, _value = incomplete.partition("=")
        before = ""
        if option.startswith("--"):
            before = option + equals if equals else ""
        elif before := self._short(args, incomplete):
            args, incomplete = [*args, f"-{before[-1]}"], incomplete.removeprefix(before)
        found = super().get_completions(args, incomplete)
        return [
            CompletionItem(before + item.value, item.type, item.help)
            if item.type == "plain"
            else item
            for item in found
        ]

    def _short(self, args: list[str], word: str) -> str:
        """`-l` of `-lbe`, `-vl` of `-vlbe`; nothing where no value follows such an option."""
        commands = self.cli.commands if isinstance(self.cli, click.Group) else {}
        command = commands.get(args[0]) if args else None
        if command is None or "--" in args or word[:1] != "-":
            return ""
        options = {name: param for param in command.params for name in param.opts}
        for end, letter in enumerate(word[1:], 2):
            param = options.get(f"-{letter}")
            if not isinstance(param, click.Option):
                return ""
            if not (param.is_flag or param.count):
                return word[:end] if word[end:] and word[end] != "-" else ""
        return ""


class _Bash(_Shell, BashComplete):
    source_template = BASH

    def get_completions(self, args: list[str], incomplete: str) -> Candidates:
        """Candidates without what stands before bash's own idea of the word."""
        found = super().get_completions(args, incomplete)
        breaks = [mark for mark in _BREAKS if mark in os.environ.get("COMP_WORDBREAKS", "")]
        length = 0 if _quote_is_open() else 1 + max(map(incomplete.rfind, breaks), default=-1)
        return [
            item if item.type != "plain" else CompletionItem(item.value[length:]) for item in found
        ]


class _Zsh(_Shell, ZshComplete):
    source_template = ZSH


class _Fish(_Shell, FishComplete):
    source_template = FISH


_SHELLS: dict[str, type[_Shell]] = {"bash": _Bash, "zsh": _Zsh, "fish": _Fish}
SHELLS = tuple(_SHELLS)


def _line() -> str:
    return os.environ.get("COMP_WORDS", "")


def _quote_is_open() -> bool:
    """Whether the cursor stands within quotes, where bash breaks no words."""
    quote = ""
    for mark in re.findall(r"\\.|['\"]", _line(), re.DOTALL):
        if quote:
            quote = "" if mark == quote else quote
        elif len(mark) == 1:
            quote = mark
    return bool(quote)


@contextlib.contextmanager
def _in_time() -> Iterator[None]:
    """Give up after `TIME_S`."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, TIME_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _names(ctx: click.Context) -> tuple[list[str], list[str]]:
    """Groups and hosts of the inventories that the line names, or that are meant without."""
    from fleet.inventory import load  # noqa: PLC0415 - only names need it
    from fleet.settings import settings_from  # noqa: PLC0415 - as above

    flags: dict[str, Any] = {"inventory": ctx.params.get("inventory") or ()}
    sources = settings_from(flags, os.environ, questdb=False).inventory
    inventory = load(*filter(_is_only_read, sources))
    groups = [name for name, members in inventory.groups.items() if members]
    return _plain(groups), _plain(host.name for host in inventory.hosts)


def _is_only_read(source: str) -> bool:
    """Whether an inventory is files and nothing else: no program, no pipe, no standard input."""
    from fleet.inventory.program import is_program  # noqa: PLC0415 - only names need it

    if not os.path.isdir(source):
        return os.path.isfile(source) and not is_program(source)
    files = (os.path.join(folder, name) for folder, _, names in os.walk(source) for name in names)
    return all(os.path.isfile(file) and not is_program(file) for file in files)


def _plain(names: Iterable[str]) -> list[str]:
    return [name for name in names if _PLAIN.fullmatch(name) and _can_be_said(name)]


def _can_be_said(name: str) -> bool:
    """Whether the shell's own encoding has all its letters."""
    try:
        name.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return False
    return True
