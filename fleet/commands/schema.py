"""`fleet schema`: our tables against the server's."""

import os
from typing import Any

import click

from fleet import options
from fleet.prepare import read_inventory


@click.command("schema")
@click.option("--apply", "apply_", is_flag=True, help="Run the statements that are missing.")
@options.inventories
@options.database
def command(apply_: bool, **flags: Any) -> None:
    """Compare the server's tables with ours, and print the statements that are missing.

    collect runs them itself; this is for those who want to see or to run them before. A table
    that conflicts with ours is an error that names the way out. The labels of an inventory have
    columns too; they count where it is named with -i.
    """
    from fleet import schema
    from fleet.errors import SchemaError
    from fleet.questdb_http import Client
    from fleet.settings import settings_from
    from fleet.tables import schema_of

    settings = settings_from(flags, os.environ)
    labels = read_inventory(settings).labels if flags.get("inventory") else ()
    client, tables = Client(settings.questdb), schema_of(settings.tables, labels)
    if apply_:
        for statement in schema.ensure(client, tables):
            click.echo(f"{statement};")
        return
    plan = schema.inspect(client, tables)
    for statement in plan.statements:
        click.echo(f"{statement};")
    if plan.conflicts:
        raise SchemaError("\n       ".join(plan.conflicts))
