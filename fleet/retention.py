"""How long rows are kept: QuestDB's TTL of our tables and views.

QuestDB drops whole partitions (docs, "time to live"): ours are days.
"""

import re
from collections.abc import Iterable

from fleet.errors import UsageError
from fleet.questdb_http import Client
from fleet.schema import described, quoted

_DAYS = {"DAY": 1, "WEEK": 7}
_DAYS_MAX = 36_500


def days(text: str, option: str) -> int:
    """`30d`, `8w` → days; raises `UsageError` that names the option and what works instead."""
    match = re.fullmatch(r"([0-9]{1,5}) ?([dw])", text.strip())
    found = int(match[1]) * (7 if match[2] == "w" else 1) if match else 0
    if not 0 < found <= _DAYS_MAX:
        raise UsageError(
            f"{option}: expected a number of whole days or weeks, as 30d or 8w, not {text!r}"
        )
    return found


def statements(
    client: Client, names: Iterable[str], kept_days: int, kind: str = "TABLE"
) -> list[str]:
    """What gives that TTL to each of these that has another or is not there yet. `kind` is TABLE or
    MATERIALIZED VIEW.
    """
    found = []
    for name in names:
        table = described(client, name)
        if table is None or not _is(table["ttlValue"], table["ttlUnit"], kept_days):
            found.append(f"ALTER {kind} {quoted(name)} SET TTL {kept_days} DAYS")
    return found


def _is(value: int, unit: str, kept_days: int) -> bool:
    """QuestDB tells 14 days as 2 weeks."""
    return value * _DAYS.get(unit, 0) == kept_days
