"""`python -m fleet.dashboards.build`: the models, and deploy/grafana/ from them.

Needs `grafana-foundation-sdk`, as the whole of this package but `render` and `tokens` does. Run it
after each change of a dashboard or a rule; a test compares what it makes with what is there.
"""

import json
import re
from pathlib import Path
from typing import Any

import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from fleet.dashboards import alerts, containers_page, fleet_page, host_page
from fleet.dashboards.render import MODELS, Names, files

PROJECT = Path(__file__).resolve().parents[2]
DEPLOYED = PROJECT / "deploy/grafana"
PAGES = {
    "dashboards/fleet.json": fleet_page.page,
    "dashboards/containers.json": containers_page.page,
    "dashboards/host.json": host_page.page,
}
ALERTS = "provisioning/alerting/fleet.yaml"


def models() -> dict[str, str]:
    """Each model by its path, tokens and all."""
    found = {path: _dashboard(page().build()) for path, page in PAGES.items()}
    panels = {
        (model["uid"], panel["title"]): panel["id"]
        for model in found.values()
        for panel in model["panels"]
    }
    made = {
        path: json.dumps(model, indent=1, sort_keys=True) + "\n" for path, model in found.items()
    }
    made[ALERTS] = _as_yaml(alerts.provisioned(panels))
    return made


def _dashboard(built: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(JSONEncoder().encode(built))
    for one in (*found["links"], *found["annotations"]["list"]):
        one.pop("placement", None)  # the SDK's default hides them in a menu
    for number, panel in enumerate(found["panels"], 1):
        panel["id"] = number
    return found


class _Dumper(yaml.SafeDumper):
    """Texts with tokens stand as blocks, in which no name that is filled in means anything to YAML;
    a text that is one token becomes a number.
    """


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    if re.fullmatch("@[a-z_]+_s@", text):
        return dumper.represent_scalar("tag:yaml.org,2002:int", text)
    style = "|" if "@" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _as_yaml(document: dict[str, object]) -> str:
    # A line of any length: a block that is folded would be another text.
    dumped: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=2**20)
    return re.sub(r"!!int '(@[a-z_]+_s@)'", r"\1", dumped)


def main() -> None:
    """Write them."""
    for path, text in models().items():
        target = MODELS / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    for path, text in files(Names()).items():
        target = DEPLOYED / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


if __name__ == "__main__":
    main()
