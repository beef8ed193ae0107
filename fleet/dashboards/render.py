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
        filled = _dashboard(text, names) if path.endswith(".json") else _text(text, names)
        found[path] = filled
    return found


def _text(text: str, names: Names) -> str:
    words = _words(names)
    return re.sub("|".join(map(re.escape, words)), lambda found: str(words[found[0]]), text)


def _dashboard(text: str, names: Names) -> str:
    model = json.loads(text)
    chosen = model["templating"]["list"]
    model["templating"]["list"] = list(_variables(chosen, names.labels))
    filled = _filled(model, _words(names))
    return json.dumps(filled, indent=1, sort_keys=True) + "\n"


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
    tables = names.tables
    return {
        tokens.CONTAINERS: tables.containers,
        tokens.HOSTS: tables.hosts,
        tokens.SWEEPS: tables.sweeps,
        tokens.STATES: tables.states,
        tokens.NODES: tables.nodes,
        tokens.DISKS: tables.disks,
        tokens.DATASOURCE: names.datasource,
        tokens.INTERVAL: f"{names.interval_s}s",
        tokens.INTERVAL_SECONDS: names.interval_s,
        tokens.GAP_MS: 2_500 * names.interval_s,
        tokens.OF_LABELS: _conditions(names.labels),
        tokens.LAST_LABELS: "".join(f', last("{one}") AS "{one}"' for one in names.labels),
        tokens.LABEL_COLUMNS: "".join(f', "{one}"' for one in names.labels),
    }
