"""`python -m fleet.dashboards.build`: the models, and deploy/grafana/ from them.

Needs `grafana-foundation-sdk`, as the whole of this package but `render` and `tokens` does. Run it
after each change of a dashboard or a rule; a test compares what it makes with what is there.
"""

import json
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
    made = {path: _dashboard(page().build()) for path, page in PAGES.items()}
    made[ALERTS] = yaml.safe_dump(alerts.provisioned(), sort_keys=False, width=100)
    return made


def _dashboard(built: Any) -> str:
    found = json.loads(JSONEncoder().encode(built))
    for number, panel in enumerate(found["panels"], 1):
        panel["id"] = number
    return json.dumps(found, indent=1, sort_keys=True) + "\n"


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
