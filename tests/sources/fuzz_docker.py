"""Random lines for the parser of `docker stats`: `python -m tests.sources.fuzz_docker`.

Nine in ten are of the grammar and must be read as exactly what they say; one in ten is damaged,
and may be refused, but only by a `LineError`. Every fifty lines go through `measure`, which must
account for each.
"""

import argparse
import sys
import time
from dataclasses import dataclass
from random import Random

from fleet.sources.docker import (
    Figures,
    LineError,
    Listed,
    measure,
    parse_ps,
    parse_ps_line,
    parse_stats_line,
)
from tests.sources.docker_prints import (
    BINARY,
    DECIMAL,
    UNITS,
    bytes_size,
    dashes_line,
    human_size,
    ps_line,
    zero_line,
)

BATCH = 50
NAME_START = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
PIECES = (
    *("--", " / ", "e+03", "e-05", "e+999", "-", "NaN", "inf", "∞", "\ufeff", "\x1b[K", "\x1b"),
    *('"', "\\", "\\u0000", "\\ud800", "\ud800", "\x00", "{", "}", "[", "]", ",", ":", "null"),
    *("kB", "KB", "iB", "9" * 40, "0", ".", "%", "\r", "\n", "\u2028", "\u0661", "[" * 3000, "é"),
)


class Wrong(Exception):
    """A line that was read as something else than it says."""


@dataclass
class Tally:
    """What a run has tried."""

    valid: int = 0
    damaged: int = 0
    refused: int = 0


def size(random: Random, units: tuple[str, ...]) -> tuple[str, float]:
    """A size of the grammar and its exact value: as Docker renders a counter, or any digits."""
    if random.random() < 0.5:
        counter = random.getrandbits(random.randrange(65))
        text = human_size(counter) if units is DECIMAL else bytes_size(counter)
        digits = text.rstrip("kKMGTPEZYiB")
        unit, number = text[len(digits) :], digits
    else:
        unit = random.choice(units)
        number = str(random.randrange(10 ** random.randrange(1, 5)))
        if random.random() < 0.6:
            number += f".{random.randrange(10 ** random.randrange(1, 4))}"
        if random.random() < 0.1:
            number += f"e+{random.randrange(100):02}"
        text = number + random.choice(("", "", " ")) + unit
    mantissa, _, exponent = number.partition("e+")
    whole, _, fraction = mantissa.partition(".")
    scaled = int(whole + fraction) * UNITS[unit] * 10 ** int(exponent or 0)
    return text, scaled / 10 ** len(fraction)  # of two integers: rounded once, to the nearest


def pair(random: Random, units: tuple[str, ...]) -> tuple[str, tuple[float | None, float | None]]:
    """Two sizes, or seldom dashes."""
    if random.random() < 0.02:
        return "--", (None, None)
    (first, one), (second, two) = size(random, units), size(random, units)
    return f"{first} / {second}", (one, two)


def percentage(random: Random) -> tuple[str, float | None]:
    """A percentage with two decimals, or seldom dashes."""
    if random.random() < 0.02:
        return "--", None
    hundredths = random.randrange(10 ** random.randrange(1, 14))
    return f"{hundredths // 100}.{hundredths % 100:02}%", hundredths / 100


def memory(random: Random) -> tuple[str, tuple[float | None, float | None]]:
    """Used and limit; on Windows one size alone."""
    if random.random() < 0.05:
        text, value = size(random, BINARY)
        return text, (value, None)
    text, values = pair(random, BINARY)
    return random.choice(("--", "-- / --")) if text == "--" else text, values


def row(random: Random) -> tuple[str, Figures]:
    """A line of the grammar and what it says."""
    id = f"{random.getrandbits(256):064x}"
    short = random.random() < 0.3
    container = id if random.random() < 0.2 else id[:12]
    name = random.choice(NAME_START) + "".join(
        random.choices(NAME_START + "_.-", k=random.randrange(20))
    )
    (cpu, cpu_value), (share, share_value) = percentage(random), percentage(random)
    (used, memory_values) = memory(random)
    (net, net_values), (block, block_values) = pair(random, DECIMAL), pair(random, DECIMAL)
    pids = str(random.getrandbits(random.randrange(65)))
    texts = {
        "BlockIO": block,
        "CPUPerc": cpu,
        "Container": container,
        "ID": id[:12] if short else id,
        "MemPerc": share,
        "MemUsage": used,
        "Name": name,
        "NetIO": net,
        "PIDs": pids,
    }
    space = ""
    if random.random() < 0.1:  # nerdctl's order, no Container, and another printer's spaces
        del texts["Container"]
        container, space = "", " "
        texts = dict(reversed(texts.items()))
    line = "{" + f",{space}".join(f'"{key}":{space}"{text}"' for key, text in texts.items()) + "}"
    figures = Figures(
        max(texts["ID"], container, key=len),
        name,
        cpu_value,
        *memory_values,
        share_value,
        int(pids),
        *net_values,
        *block_values,
    )
    return line, figures


def damage(random: Random, line: str) -> str:
    """A line with up to three pieces cut out, put in, doubled or exchanged."""
    for _ in range(random.randrange(1, 4)):
        start = random.randrange(len(line) + 1)
        end = min(len(line), start + random.randrange(12))
        match random.randrange(5):
            case 0:
                line = line[:start] + line[end:]
            case 1:
                line = line[:start] + random.choice(PIECES) + line[start:]
            case 2:
                line = line[:start] + random.choice(PIECES) + line[end:]
            case 3:
                line = line[:end] + line[start:]
            case 4:
                line = line[:start] + chr(random.randrange(0x110000)) + line[start + 1 :]
    return line


def try_valid(random: Random, tally: Tally) -> str:
    """A line of the grammar, read as what it says."""
    line, figures = row(random)
    tally.valid += 1
    if (read := parse_stats_line(line)) != figures:
        raise Wrong(f"{line!r}\nread as {read}\ninstead {figures}")
    return line


def try_damaged(random: Random, tally: Tally) -> str:
    """A damaged line of `stats` or `ps`, read or refused."""
    id = f"{random.getrandbits(256):064x}"
    kind = random.randrange(4)
    if kind == 0:
        line, parse = damage(random, ps_line(id)), parse_ps_line
    else:
        whole = (row(random)[0], dashes_line(id[:12]), zero_line(id))[kind - 1]
        line, parse = damage(random, whole), parse_stats_line
    tally.damaged += 1
    try:
        parse(line)
    except LineError as error:
        tally.refused += 1
        if not str(error).isprintable() or len(str(error)) > 200:
            raise Wrong(f"{line!r}\nis told as {error!r}") from None
    return line


def try_batch(random: Random, lines: list[str]) -> None:
    """Lines together, some twice, beside a `ps` that lists some: all accounted for."""
    lines = [*lines, *random.choices(lines, k=2), "", " \r"]
    listed: dict[str, Listed] = {}
    for line in random.choices(lines, k=5):
        try:
            id = parse_stats_line(line).id
        except LineError:
            continue
        state = random.choice(("running", "paused", "exited"))
        networks = random.choice(("bridge", "host", ""))
        listed |= parse_ps([ps_line(id, state=state, networks=networks)])[0]
    before, after = random.choice((None, {}, listed)), random.choice((None, {}, listed))
    result = measure(lines, before, after, random.choice((None, 1, 64)))
    accounted = len(result.samples) + result.dropped + result.bad_lines
    if accounted != sum(bool(line.strip()) for line in lines):
        raise Wrong(f"{lines!r}\naccounted for {accounted}: {result}")


def fuzz(count: int, seed: int) -> Tally:
    """So many lines of that seed; raises at the first that is not as it should be."""
    random, tally = Random(seed), Tally()
    lines: list[str] = []
    for number in range(count):
        damaged = number % 10 == 9
        lines.append(try_damaged(random, tally) if damaged else try_valid(random, tally))
        if len(lines) == BATCH:
            try_batch(random, lines)
            lines.clear()
    return tally


def main() -> int:
    """Exit status 0 if every line was as it should be, else 1 and the line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000, help="how many lines")
    parser.add_argument("--seed", type=int, default=1, help="of the random numbers")
    options = parser.parse_args()
    start = time.monotonic()
    tally = fuzz(options.count, options.seed)
    print(
        f"fuzz_docker: {tally.valid} valid lines read to the letter, {tally.damaged} damaged ones "
        f"({tally.refused} refused), seed {options.seed}, {time.monotonic() - start:.0f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
