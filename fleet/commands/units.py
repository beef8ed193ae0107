"""`fleet units`: systemd's files and a crontab line."""

import os
import sys
from typing import Any

import click

from fleet.prepare import say


@click.command("units")
@click.option(
    "--interval",
    default="5min",
    show_default=True,
    metavar="TIME",
    help="From one run to the next, as 30s, 5min, 2h or 1d.",
)
@click.option("-i", "--inventory", metavar="FILE", help="[default: /etc/fleet/inventory.yaml]")
@click.option("--name", help="Of the job. [default: fleet]")
@click.option("--private-key", metavar="FILE", help="[default: /etc/fleet/id_ed25519]")
@click.option("--known-hosts", metavar="FILE", help="[default: /etc/fleet/known_hosts]")
@click.option("--questdb-file", metavar="FILE", help="[default: /etc/fleet/questdb.conf]")
def command(interval: str, name: str | None, **files: str | None) -> None:
    """Print a systemd service, its timer and a crontab line that run collect every so often."""
    from pathlib import Path

    from fleet.units import PROGRAM, Interval, Units

    beside = Path(sys.executable).with_name("fleet")
    given: dict[str, Any] = {
        option: os.path.abspath(os.path.expanduser(file))
        for option, file in files.items()
        if file is not None
    }
    if name is not None:
        given["name"] = name
    program = str(beside) if beside.exists() else PROGRAM
    units = Units(interval=Interval.parse(interval), program=program, **given)
    for warning in units.hidden:
        say(f"fleet: {warning}")
    click.echo(units.printed(), nl=False)
