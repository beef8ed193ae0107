"""What Docker's client prints, written again from its own rules, and an exact reading of it."""

import json
from fractions import Fraction

DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")
UNITS = {unit: 1000**power for power, unit in enumerate(DECIMAL)}
UNITS |= {unit: 1024**power for power, unit in enumerate(BINARY)}


def custom_size(count: float, base: float, units: tuple[str, ...], digits: int) -> str:
    """go-units' `CustomSize`: divide until less than one of the next unit, then `%.*g`."""
    power = 0
    while count >= base and power < len(units) - 1:
        count /= base
        power += 1
    return f"{count:.{digits}g}{units[power]}"


def human_size(count: float) -> str:
    """`HumanSizeWithPrecision(count, 3)`: network and block."""
    return custom_size(count, 1000.0, DECIMAL, 3)


def bytes_size(count: float) -> str:
    """`BytesSize(count)`: memory."""
    return custom_size(count, 1024.0, BINARY, 4)


def percent(value: float) -> str:
    """`formatPercentage`: CPUPerc and MemPerc."""
    return f"{value:.2f}%"


def exact(text: str) -> Fraction:
    """A size's text → the very number that it says, without any floating point."""
    digits = text.rstrip("kKMGTPEZYiB")
    return Fraction(digits.strip()) * UNITS[text[len(digits) :]]


def half_digit(text: str) -> Fraction:
    """Half of the last significant digit that Docker can have printed of this size."""
    digits = text.rstrip("kKMGTPEZYiB")
    kept = 4 if "i" in text else 3
    unit = UNITS[text[len(digits) :]]
    number = Fraction(digits)
    power = 0
    while number >= 10 ** (power + 1):
        power += 1
    return Fraction(10) ** (power - kept + 1) * unit / 2


def stats_line(**fields: str) -> str:
    """A line of `docker stats --format '{{json .}}'`: a busy container, but for these fields."""
    usual = {
        "BlockIO": "1.5kB / 12.3kB",
        "CPUPerc": "0.10%",
        "Container": "74fec0c33e96",
        "ID": "74fec0c33e96",
        "MemPerc": "0.10%",
        "MemUsage": "1KiB / 1MiB",
        "Name": "web",
        "NetIO": "1kB / 999kB",
        "PIDs": "12",
    }
    return json.dumps(usual | fields, separators=(",", ":"))


def dashes_line(id: str) -> str:
    """The row of a container that was gone before its second reading."""
    dashes = dict.fromkeys(("BlockIO", "CPUPerc", "MemPerc", "Name", "NetIO", "PIDs"), "--")
    return stats_line(**dashes, Container=id, ID="", MemUsage="-- / --")


def zero_line(id: str, name: str = "web") -> str:
    """The row of a container that does not run."""
    pair = "0B / 0B"
    zeros = {"BlockIO": pair, "MemUsage": pair, "NetIO": pair, "PIDs": "0"}
    return stats_line(
        **zeros, CPUPerc="0.00%", MemPerc="0.00%", Container=id[:12], ID=id, Name=name
    )


def ps_line(
    id: str,
    names: str = "web",
    image: str = "nginx:1.27",
    state: str = "running",
    networks: str = "bridge",
    labels: tuple[str, str, str, str] = ("", "", "", ""),
) -> str:
    """A line of `docker ps` in the probe's format."""
    return json.dumps([id, names, image, state, networks, *labels], separators=(",", ":"))
