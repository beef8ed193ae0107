"""`fleet dashboards`: Grafana's files."""

import os
from typing import Any

import click

from fleet import options
from fleet.prepare import labels_named, say


@click.command("dashboards")
@click.option(
    "--out", default="grafana", show_default=True, metavar="DIR", help="Where files are written."
)
@click.option(
    "--datasource",
    default="questdb",
    show_default=True,
    metavar="UID",
    help="Of the data source in Grafana.",
)
@click.option(
    "--interval",
    default="5min",
    show_default=True,
    metavar="TIME",
    help="From one sweep to the next, as 30s, 5min, 2h or 1d.",
)
@click.option("--force", is_flag=True, help="Replace files that have other contents.")
@options.whose_labels
@options.tables
def command(out: str, datasource: str, interval: str, force: bool, **flags: Any) -> None:
    """Write dashboards, alert rules and a data source for Grafana, and print their paths.

    Dashboards can be narrowed by the labels of the inventory that is named, with -i or by
    FLEET_INVENTORY; without it by env and role, whose columns must be there then: inventories have
    them in fleet_labels. They read views for ranges over a day: fleet schema --views --apply makes
    them.
    """
    from dataclasses import fields
    from pathlib import Path

    from fleet.dashboards.render import LABELS, Names, files
    from fleet.dashboards.write import check_name, check_uid, write
    from fleet.settings import settings_from
    from fleet.units import Interval

    settings = settings_from(flags, os.environ)
    for field in fields(settings.tables):
        check_name(getattr(settings.tables, field.name))
    seconds = Interval.parse(interval).seconds
    named = labels_named(flags, settings)
    labels = LABELS if named is None else named
    if named is None:
        say(f"fleet: with the labels {', '.join(LABELS)}; -i FILE takes those of an inventory")
    names = Names(settings.tables, labels, check_uid(datasource), seconds)
    for path in write(files(names), Path(out), force):
        click.echo(path)
