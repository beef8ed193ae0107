"""`fleet schema`: our tables against the server's."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from fleet import options
from fleet.prepare import labels_named

if TYPE_CHECKING:
    from fleet.questdb_http import Client
    from fleet.schema import Plan


@click.command("schema")
@click.option("--apply", "apply_", is_flag=True, help="Run the statements that are missing.")
@click.option(
    "--views",
    is_flag=True,
    help="Also the materialized views that dashboards read for ranges over a day.",
)
@click.option(
    "--ttl",
    metavar="TIME",
    help="How long QuestDB keeps rows, as 30d or 8w; older ones are dropped. [default: as it is]",
)
@click.option(
    "--views-ttl",
    metavar="TIME",
    help="The same for the rows of views, which may stay longer.",
)
@options.whose_labels
@options.database
def command(
    apply_: bool, views: bool, ttl: str | None, views_ttl: str | None, **flags: Any
) -> None:
    """Compare the server's tables with ours, and print the statements that are missing.

    collect runs them itself, views and TTL apart; this is for those who want to see or to run them
    before. A table or a view that conflicts with ours is an error that names the way out. The
    labels of an inventory have columns too; they count where it is named, with -i or by
    FLEET_INVENTORY. Without it views have the labels that the table has.
    """
    from fleet import retention, schema
    from fleet import views as view
    from fleet.questdb_http import Client
    from fleet.settings import settings_from
    from fleet.tables import schema_of

    settings = settings_from(flags, os.environ)
    kept = None if ttl is None else retention.days(ttl, "--ttl")
    views_kept = None if views_ttl is None else retention.days(views_ttl, "--views-ttl")
    if views_kept is not None and not views:
        raise click.UsageError("--views-ttl goes with --views")
    named = labels_named(flags, settings)
    labels = named or ()
    client, tables = Client(settings.questdb), schema_of(settings.tables, labels)
    base = tables.containers.name

    def tables_first() -> Iterator[str]:
        """Each statement, told when the ones before it have been run: views need their table."""
        plan = schema.inspect(client, tables)
        if apply_:
            yield from schema.ensure(client, tables)
        else:
            yield from plan.statements
            _no_conflicts(plan)
        if views:
            mine = view.labels_of(client, tables.containers) if named is None else labels
            plan = view.inspect(client, base, mine)
            yield from view.ensure(client, base, mine) if apply_ else plan.statements
            _no_conflicts(plan)
        if kept is not None:
            names = [table.name for table in tables.tables]
            yield from _run(client, retention.statements(client, names, kept), apply_)
        if views_kept is not None:
            names = [view.view_name(base, size) for size in view.SIZES]
            kind = "MATERIALIZED VIEW"
            found = retention.statements(client, names, views_kept, kind)
            yield from _run(client, found, apply_)

    for statement in tables_first():
        click.echo(f"{statement};")


def _no_conflicts(plan: "Plan") -> None:
    from fleet.errors import SchemaError

    if plan.conflicts:
        raise SchemaError("\n       ".join(plan.conflicts))


def _run(client: "Client", statements: list[str], apply_: bool) -> Iterator[str]:
    from fleet.errors import QuestDBError, QuestDBUnreachable, SchemaError

    for statement in statements:
        try:
            if apply_:
                client.execute(statement)
        except QuestDBUnreachable:
            raise
        except QuestDBError as error:
            raise SchemaError(f"{error} ({statement})") from None
        yield statement
