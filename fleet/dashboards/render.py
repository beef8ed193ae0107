"""The models, filled in: Grafana's files for one server's tables, labels and data source."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleet.dashboards import tokens
from fleet.tables import TableNames

MODELS = Path(__file__).with_name("models")
DATASOURCE_UID = "questdb"
_HOUR = 3600
LABELS = ("env", "role")
"""What the dashboards in deploy/grafana/ can be narrowed by."""


@dataclass(frozen=True, slots=True)
class Names:
    """What the models are filled in with. `interval_s`: seconds from one sweep to the next."""

    tables: TableNames = field(default_factory=TableNames)
    labels: tuple[str, ...] = LABELS
    datasource: str = DATASOURCE_UID
    interval_s: int = 300


def files(names: Names) -> dict[str, str]:
    """Each file's text by its path, below Grafana's folders for dashboards and for provisioning."""
    found = {}
    for model in sorted(path for path in MODELS.rglob("*") if path.is_file()):
        path = str(model.relative_to(MODELS))
        text = model.read_text(encoding="utf-8")
        is_dashboard = path.endswith(".json")
        found[path] = _dashboard(text, names) if is_dashboard else filled(text, names)
    return found


def filled(text: str, names: Names) -> str:
    """A text, such as a question, with its tokens filled in."""
    words = _words(names)
    return re.sub("|".join(map(re.escape, words)), lambda found: str(words[found[0]]), text)


def _dashboard(text: str, names: Names) -> str:
    model = json.loads(text)
    chosen = model["templating"]["list"]
    model["templating"]["list"] = list(_variables(chosen, names.labels))
    return json.dumps(_filled(model, _words(names)), indent=1, sort_keys=True) + "\n"


def _variables(models: Sequence[Any], labels: Sequence[str]) -> Iterator[Any]:
    """The variables: for that of the label one for each, in which those before it count."""
    for model in models:
        if model["name"] != tokens.LABEL:
            yield model
            continue
        for place, label in enumerate(labels):
            words = {
                tokens.LABELS_SO_FAR: _conditions(labels[:place]),
                tokens.LABEL: label,
            }
            yield _filled(deepcopy(model), words)


def _filled(value: Any, words: Mapping[str, str | int]) -> Any:
    """A model with its words replaced; a string that is one word becomes that word's value."""
    if isinstance(value, dict):
        return {key: _filled(one, words) for key, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, words) for one in value]
    if not isinstance(value, str):
        return value
    if value in words:
        return words[value]
    for word, text in words.items():
        value = value.replace(word, str(text))
    return value


def _conditions(labels: Sequence[str]) -> str:
    conditions = [f'$__conditionalAll("{one}" IN (${{{one}:sqlstring}}), ${one})' for one in labels]
    return " AND ".join(conditions) or "1=1"


def _words(names: Names) -> dict[str, str | int]:
    tables, every = names.tables, names.interval_s
    look_back, lately = max(2 * _HOUR, 2 * every), max(_HOUR, 4 * every)
    return {
        tokens.CONTAINERS: tables.containers,
        tokens.HOSTS: tables.hosts,
        tokens.SWEEPS: tables.sweeps,
        tokens.STATES: tables.states,
        tokens.NODES: tables.nodes,
        tokens.DISKS: tables.disks,
        tokens.DATASOURCE: names.datasource,
        tokens.INTERVAL: f"{every}s",
        tokens.INTERVAL_SECONDS: every,
        **{tokens.intervals(count): count * every for count in range(2, 10)},
        tokens.LOOK_BACK_S: look_back,
        tokens.LATELY_S: lately,
        tokens.ALERT_RANGE_S: look_back + lately,
        tokens.WEEK_S: max(7 * 86_400, 20 * every),
        tokens.OF_LABELS: _conditions(names.labels),
        tokens.LAST_LABELS: "".join(f', last("{one}") AS "{one}"' for one in names.labels),
        tokens.LABEL_COLUMNS: "".join(f', "{one}"' for one in names.labels),
    }
