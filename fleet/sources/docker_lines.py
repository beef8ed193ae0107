"""One line of `docker stats` or of `docker ps` → what it says, to the letter.

The grammar is that of docker/cli's stats formatter, whose sizes are go-units' `HumanSize` (base
1000, three digits) and `BytesSize` (base 1024, four digits). Nothing is guessed or judged here,
and nothing that a node prints raises anything but `LineError`.
"""

import json
import re
from dataclasses import dataclass
from operator import attrgetter

MAX_LINE_CHARS = 64 * 1024
_QUOTED_CHARS = 120

_ID = re.compile(r"[0-9a-f]{12,64}")
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,999}")
_IMAGE = re.compile(r"[!-~]{1,512}")
_CONTROL = re.compile(  # and what turns or breaks a line of text, or cannot be seen in it
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
# The lengths keep every value finite. Clients older than 2017 put a space before the unit.
_SIZE = r"([0-9]{1,30}(?:\.[0-9]{1,30})?(?:e\+[0-9]{1,2})?) ?([kMGTPEZY]?B|[KMGTPEZY]iB)"
_PAIR = rf"(?:{_SIZE} / {_SIZE}|--)"
_PERCENT = r"(?:([0-9]{1,30}\.[0-9]{2})%|--)"
_GRAMMAR = {  # Docker's own fields, in its own order
    "BlockIO": _PAIR,
    "CPUPerc": _PERCENT,
    "Container": rf"({_ID.pattern}|)",
    "ID": rf"({_ID.pattern}|)",
    "MemPerc": _PERCENT,
    "MemUsage": rf"(?:{_SIZE}(?: / {_SIZE})?|-- / --|--)",  # Windows: one, the private working set
    "Name": rf"(?:({_NAME.pattern})|--)",
    "NetIO": _PAIR,
    "PIDs": r"(?:([0-9]{1,20})|--)",
}
_ROW = re.compile("{" + ",".join(f'"{key}":"{text}"' for key, text in _GRAMMAR.items()) + "}")

# unit → (power of ten, as the end of a literal; power of two)
_UNITS = {"B": ("e0", 1.0)}
_UNITS |= {f"{letter}B": (f"e{3 * n}", 1.0) for n, letter in enumerate("kMGTPEZY", 1)}
_UNITS |= {f"{letter}iB": ("e0", 1024.0**n) for n, letter in enumerate("KMGTPEZY", 1)}

# Objects come as tuples of pairs, so that a name given twice can be seen, and arrays as lists.
_JSON = json.JSONDecoder(object_pairs_hook=tuple)
_NOISE = re.compile(  # a BOM, a terminal's sequences
    r"(?:\ufeff|\x1b\[[0-?]{0,20}[ -/]{0,20}[@-~]|[ \t\r\n])*+"
)


class LineError(ValueError):
    """A line that cannot be understood; its text quotes the offending piece, made harmless."""


@dataclass(frozen=True, slots=True)
class Figures:
    """A line of `docker stats` to the letter; None where it says `--`.

    `id` is 12 to 64 hex digits. Sizes are bytes, as exact as the few digits printed;
    `cpu_percent` is percent of one core, `memory_percent` of the limit; `pids` counts threads.
    Network is received and sent, block is read and written, all since the container started.
    Windows prints no limit, no memory percentage and no pids.
    """

    id: str
    name: str | None
    cpu_percent: float | None
    memory_bytes: float | None
    memory_limit_bytes: float | None
    memory_percent: float | None
    pids: int | None
    net_in_bytes: float | None
    net_out_bytes: float | None
    block_in_bytes: float | None
    block_out_bytes: float | None

    @property
    def is_dashes(self) -> bool:
        """Every figure is `--`: removed in mid-sample, or a daemon that died or never answered."""
        return self.cpu_percent is None and {*_figures(self)} == {None}

    @property
    def is_zero(self) -> bool:
        """Every figure given is zero, the memory limit too: it does not run, or was not read."""
        return not (self.memory_bytes or any(_figures(self)) or self.is_dashes)


_figures = attrgetter(*Figures.__slots__[2:])


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of `docker ps`: what `docker stats` does not say of a container.

    `running` is true for paused ones too. `network` names its networks, comma-joined: `host`,
    `none`, or "" where it has none of its own (`--network container:…`). `image` and `service`
    are None where they are not fit to be a symbol.
    """

    id: str
    name: str
    image: str | None
    running: bool
    network: str
    service: str | None


def parse_size(text: str) -> float:
    """`12.3kB`, `1e+03MB`, `23.54GiB`, `38.21 MiB` → bytes, the float nearest to what it says."""
    if match := re.fullmatch(_SIZE, text):
        return _bytes(match[1], match[2])
    raise LineError(f"not a size: {_quote(text)}")


def parse_stats_line(line: str) -> Figures:
    """One line of `docker stats --format '{{json .}}'` → its figures."""
    match = _ROW.fullmatch(line) or _ROW.fullmatch(_as_docker_prints(line))
    if match is None:
        raise LineError(f"cannot be understood: {_quote(line)}")
    read, read_unit, written, written_unit, cpu, container, id, percent, *more = match.groups()
    used, used_unit, limit, limit_unit, name, got, got_unit, sent, sent_unit, pids = more
    # `--` rows have no ID; since CLI 28.5 Container is the longer one, unless --no-trunc
    id = container if container.startswith(id) else id
    if not id:
        raise LineError(f"no id in {_quote(line)}")
    return Figures(
        id,
        name,
        None if cpu is None else float(cpu),
        None if used is None else _bytes(used, used_unit),
        None if limit is None else _bytes(limit, limit_unit),
        None if percent is None else float(percent),
        None if pids is None else int(pids),
        None if got is None else _bytes(got, got_unit),
        None if sent is None else _bytes(sent, sent_unit),
        None if read is None else _bytes(read, read_unit),
        None if written is None else _bytes(written, written_unit),
    )


def parse_ps_line(line: str) -> Listed:
    """One line of `docker ps` in `PS_FORMAT` → what it lists."""
    cells = _decode(line)
    if not isinstance(cells, list) or len(cells) != 9 or {*map(type, cells)} != {str}:
        raise LineError(f"not nine texts of docker ps: {_quote(line)}")
    id, names, image, state, network, compose, swarm, ecs, kubernetes = cells
    if not _ID.fullmatch(id):
        raise LineError(f"not a container's id: {_quote(id)}")
    name = names
    if "," in names:  # links of old list their aliases too: `web,other/alias`
        name = next((part for part in names.split(",") if "/" not in part), "")
    running = state in ("running", "paused")
    if not names and not running:  # one that is being removed may have lost its name already
        name = id[:12]
    if not _NAME.fullmatch(name):
        raise LineError(f"not a container's name: {_quote(names)}")
    service = compose or swarm or ecs or kubernetes
    return Listed(
        id,
        name,
        image if _IMAGE.fullmatch(image) else None,
        running,
        network,
        service if is_symbol(service) else None,
    )


def is_symbol(text: str) -> bool:
    """Whether a label's text is fit to be a symbol: not empty, not long, nothing invisible."""
    return 0 < len(text) <= 200 and not _CONTROL.search(text)


def _as_docker_prints(line: str) -> str:
    """The same fields as Docker would print them, each one checked: its order, no spaces."""
    pairs = _decode(line)
    if not isinstance(pairs, tuple):
        raise LineError(f"not a JSON object: {_quote(line)}")
    fields: dict[str, str] = {"Container": "", "ID": "", **dict(pairs)}
    if len({key for key, _ in pairs}) < len(pairs) or {*map(type, fields.values())} != {str}:
        raise LineError(f"a name given twice, or a value that is no text: {_quote(line)}")
    if not _ID.fullmatch(fields["Container"]):  # a container as somebody typed it
        fields["Container"] = ""
    for key, pattern in _GRAMMAR.items():
        if key not in fields:
            raise LineError(f"no {key} in {_quote(line)}")
        if not re.fullmatch(pattern, fields[key]):
            raise LineError(f"{key} cannot be understood: {_quote(fields[key])}")
    return "{" + ",".join(f'"{key}":"{fields[key]}"' for key in _GRAMMAR) + "}"


def _unwrapped(line: str) -> str:
    """A line without what may stand around its JSON; the line itself where that is not all."""
    start = _NOISE.match(line)
    end = max(line.rfind("}"), line.rfind("]")) + 1
    if start is None or _NOISE.fullmatch(line, end) is None:
        return line
    return line[start.end() : end]


def _decode(line: str) -> object:
    """A line's JSON, with what a terminal puts around it removed."""
    if len(line) > MAX_LINE_CHARS:
        raise LineError(f"a line of {len(line)} characters: {_quote(line)}")
    try:
        return _JSON.decode(line)
    except (ValueError, RecursionError):
        if (bare := _unwrapped(line)) != line:
            return _decode(bare)
    if line.strip() == "json":
        raise LineError("the word 'json': a client older than 23.0, which needs '{{json .}}'")
    raise LineError(f"not JSON: {_quote(line)}")


def _bytes(digits: str, unit: str) -> float:
    # Powers of ten join the literal and powers of two are exact: nothing is rounded twice.
    power, factor = _UNITS[unit]
    try:
        return float(digits + power) * factor
    except ValueError:
        digits, exponent = digits.split("e+")
        return float(f"{digits}e{int(exponent) + int(power[1:])}") * factor


def _quote(text: str) -> str:
    """Foreign text for a message: one line, no control characters, not long."""
    quoted = repr(text[:_QUOTED_CHARS])
    return quoted if len(quoted) <= _QUOTED_CHARS else quoted[: _QUOTED_CHARS - 1] + "…"
