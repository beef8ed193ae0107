"""`fleet hosts`: which hosts the patterns mean, and what is known of them. No network."""

import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

import click

from fleet import options
from fleet.prepare import read_inventory, select_from

if TYPE_CHECKING:
    from fleet.inventory import Host, Inventory
    from fleet.listing import Entry
    from fleet.settings import Settings
    from fleet.transport.route import Routes


@click.command("hosts")
@options.targeting
@click.option(
    "--format",
    "form",
    type=click.Choice(["names", "table", "json"]),
    help="names, one a line; a table, or JSON, of what is known of each. [default: names]",
)
@click.option("--fold", is_flag=True, help="The names in one line, folded: web[01-12],db2.")
@click.option("--graph", is_flag=True, help="The tree of groups and hosts.")
@click.option("--host", "one", metavar="NAME", help="One host's settings, and where each is said.")
@options.finding
def command(form: str | None, fold: bool, graph: bool, one: str | None, **flags: Any) -> None:
    """Print the hosts that the patterns mean, one a line, in Ansible's order. No network.

    With --format table or json, and with --host, settings are as they count in the end: what the
    inventory leaves open is taken from the OpenSSH configuration.
    """
    _check(form, fold, graph, one, flags)
    from fleet.settings import settings_from

    settings = settings_from(flags, os.environ, questdb=False)
    inventory = read_inventory(settings)
    if one is not None:
        click.echo(_one(inventory, one, settings, as_json=form == "json"), nl=False)
        return
    hosts = select_from(inventory, settings).hosts
    if graph:
        from fleet import listing

        targeted = settings.patterns or settings.limit or settings.failed
        only = {host.name for host in hosts} if targeted else None
        for line in listing.graph(inventory, only):
            click.echo(line)
    elif fold:
        from fleet.report import folded

        click.echo(folded(host.name for host in hosts))
    elif form in ("table", "json"):
        click.echo(_listed(hosts, inventory, settings, as_json=form == "json"), nl=False)
    else:
        for host in hosts:  # a name that would drive the terminal is spelled out
            click.echo(host.name if host.name.isprintable() else repr(host.name))


def _check(
    form: str | None, fold: bool, graph: bool, name: str | None, flags: dict[str, Any]
) -> None:
    """Refuse what does not go together."""
    if (name is not None) + graph + fold > 1:
        raise click.UsageError("give one of --host, --graph and --fold")
    if form is not None and (graph or fold):
        raise click.UsageError(f"--format does not go with {'--graph' if graph else '--fold'}")
    if name is not None and form == "names":
        raise click.UsageError("--host goes with --format table or json")
    if name is not None and (flags["patterns"] or flags["limit"] is not None or flags["failed"]):
        raise click.UsageError("--host names the one host: without PATTERN, --limit and --failed")


def _listed(
    hosts: "tuple[Host, ...]", inventory: "Inventory", settings: "Settings", as_json: bool
) -> str:
    """The hosts in a table or in JSON, with the way to each."""
    from fleet import listing
    from fleet.transport.route import Routes

    routes = Routes(settings.ssh_config)
    entries = [_entry(host, routes) for host in hosts]
    if as_json:
        return listing.as_json(entries, inventory.labels)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    return listing.as_table(entries, inventory.labels, width)


def _one(inventory: "Inventory", name: str, settings: "Settings", as_json: bool) -> str:
    """The settings of one host, with their origins."""
    from fleet import listing
    from fleet.errors import UsageError
    from fleet.inventory import Setting
    from fleet.pattern import did_you_mean
    from fleet.transport.route import Routes

    names = {host.name: host for host in inventory.hosts}
    if name not in names:
        hint = did_you_mean(name, names)
        raise UsageError(f"--host: no host is named {name!r}" + (f": {hint}" if hint else ""))
    host, routes = names[name], Routes(settings.ssh_config)
    entry = _entry(host, routes)
    added = [*routes.explain(host)] if entry.way else []
    if entry.way:
        unfollowed = routes.not_carried(host)
        added += [Setting("not_followed", line, "OpenSSH configuration") for line in unfollowed]
    found = listing.settings_of(entry, inventory.explain(name), added)
    return listing.settings_json(name, found) if as_json else listing.settings_table(found)


def _entry(host: "Host", routes: "Routes") -> "Entry":
    """A host and the way to it, as the OpenSSH configuration completes it."""
    from fleet.errors import HostError
    from fleet.listing import Entry

    if host.bad_config is not None or host.connection != "ssh":
        return Entry(host, problem=host.bad_config)
    try:
        doors = routes.to(host).doors
    except HostError as error:
        return Entry(host, problem=error.detail)
    return Entry(host, tuple(door.hop for door in doors), doors[-1].proxy_command)
