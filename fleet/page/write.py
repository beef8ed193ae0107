"""Figures, times and foreign texts as they stand on a page. Pure."""

import json
import math
from datetime import datetime
from html import escape
from typing import Any

from fleet.errors import spelled
from fleet.report import UNKNOWN, bytes_text


def text(foreign: str) -> str:
    """Foreign text in HTML, in an attribute too: what is not printable is spelled out."""
    return escape(spelled(foreign))


def figure(value: float | None, form: str) -> str:
    """A figure for people: `percent`, `bytes` or `rate`; unknown is a dash, never 0."""
    if value is None:
        return UNKNOWN
    if form == "percent":
        return f"{value:.1f}%"
    return f"{bytes_text(value, 1024)}/s" if form == "rate" else bytes_text(value, 1024)


def moment(at: datetime) -> str:
    """A time, to the second."""
    return f"{at:%Y-%m-%d %H:%M:%S}"


def minute(at: datetime) -> str:
    """A time, to the minute."""
    return f"{at:%Y-%m-%d %H:%M}"


def lasting(seconds: float) -> str:
    """How long, to two units: `35 min`, `3 h 20 min`, `2 d 4 h`."""
    whole = round(seconds)
    units = [(whole // 86_400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min")]
    parts = [(count, unit) for count, unit in [*units, (whole % 60, "s")] if count]
    if not parts:
        return "0 s"
    return " ".join(f"{count} {unit}" for count, unit in parts[:2])


def share(part: int, whole: int) -> str:
    """A share in percent; what is more than none is never 0, what is less than all never 100."""
    if not whole:
        return UNKNOWN
    return share_of(100 * part / whole)


def share_of(percent: float) -> str:
    """Percent of a whole; what is more than none is never 0, what is less than all never 100."""
    if 0 < percent < 0.1:
        return "<0.1%"
    if 99.9 < percent < 100:
        return ">99.9%"
    return f"{percent:.3g}%" if percent < 10 else f"{percent:.1f}%"


def counted(number: int, what: str) -> str:
    """`1 host`, `2 hosts`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def more_left_out(number: int, what: str) -> str:
    """`1 more host is left out`, `2 more hosts are left out`."""
    return f"{number:,} more {what}{' is' if number == 1 else 's are'} left out"


def inside_script(value: Any) -> str:
    """JSON that no HTML parser takes for anything else: ASCII, and none of `<`, `>`, `&`."""
    said = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return said.translate({ord(char): f"\\u{ord(char):04x}" for char in "<>&"})


def short(value: float | None) -> float | int | None:
    """A figure for a chart: whole where it is large, else to six digits; what is not finite is not
    known.
    """
    if value is None or not math.isfinite(value):
        return None
    rounded = float(f"{value:.6g}") if abs(value) < 1e5 else round(value)
    return int(rounded) if rounded == int(rounded) else rounded
