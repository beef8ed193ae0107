"""What commands do first: flags → the settings, and the hosts that the patterns mean."""

import os
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fleet.inventory import Inventory
    from fleet.pattern import Selection
    from fleet.settings import Settings
    from fleet.state import Failed


def prepare(flags: dict[str, Any], questdb: bool = True) -> "tuple[Settings, Selection]":
    """The settings of a command, and the hosts that its patterns mean."""
    from fleet.settings import settings_from

    settings = settings_from(flags, os.environ, questdb=questdb)
    return settings, select_from(read_inventory(settings), settings)


def read_inventory(settings: "Settings") -> "Inventory":
    """The inventories of a command, merged; what they warn of is said."""
    from fleet.inventory import load
    from fleet.tables import reserved_names

    inventory = load(
        *settings.inventory,
        private_key=settings.private_key,
        reserved=reserved_names(),
        many_labels=settings.many_labels,
    )
    for warning in inventory.warnings:
        say(f"fleet: {warning}")
    return inventory


def labels_named(flags: dict[str, Any], settings: "Settings") -> tuple[str, ...] | None:
    """The labels of the inventory that a command names, or its environment; None where neither
    does: the default one is for commands that need hosts.
    """
    from fleet.settings import INVENTORY_VARIABLE

    if not flags.get("inventory") and not os.environ.get(INVENTORY_VARIABLE):
        return None
    return tuple(read_inventory(settings).labels)


def select_from(inventory: "Inventory", settings: "Settings") -> "Selection":
    """The hosts that the patterns of a command mean, with `--failed` those of them that failed in
    the last sweep; what is to be warned of is said.
    """
    from dataclasses import replace

    from fleet.pattern import select

    selection = select(settings.patterns, settings.limit, inventory)
    for warning in selection.warnings:
        say(f"fleet: {warning}")
    if settings.failed:
        selection = _failed_of(selection, inventory, settings)
    if settings.source is None:
        return selection
    hosts = tuple(replace(host, source=settings.source) for host in selection.hosts)
    return replace(selection, hosts=hosts)


def _failed_of(selection: "Selection", inventory: "Inventory", settings: "Settings") -> "Selection":
    """Those of a selection that failed in the last sweep of this `--name`; UsageError where there
    are none.
    """
    from dataclasses import replace

    from fleet.errors import UsageError

    record = _record(settings)
    when = f"the last sweep of {settings.name!r} ({record.at:%Y-%m-%d %H:%M:%SZ})"
    if not record.hosts:
        raise UsageError(f"no host failed in {when}")
    known = {host.name for host in inventory.hosts}
    if gone := [name for name in record.hosts if name not in known]:
        say(f"fleet: failed in {when}, and no longer in the inventory: {_folded(gone)}")
    failed = frozenset(record.hosts)
    hosts = tuple(host for host in selection.hosts if host.name in failed)
    if not hosts:
        raise UsageError(
            f"none of the hosts that are meant failed in {when}; these did: {_folded(record.hosts)}"
        )
    return replace(selection, hosts=hosts)


def _record(settings: "Settings") -> "Failed":
    """What the last sweep left of its failed hosts; UsageError where that cannot be told."""
    from fleet.errors import UsageError
    from fleet.state import State

    if not settings.state_dir:
        raise UsageError(
            "--failed: no state directory, where sweeps are recorded (--state-dir, "
            "FLEET_STATE_DIR or a home names one)"
        )
    state = State(settings.state_dir)
    try:
        record = state.failed(settings.name)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        anew = f"; the next collect of {settings.name!r} writes it anew"
        raise UsageError(
            f"--failed: {state.failed_file(settings.name)} cannot be read: {reason}"
            f"{anew if isinstance(error, ValueError) else ''}"
        ) from None
    if record is None:
        raise UsageError(
            f"--failed: no sweep of {settings.name!r} is recorded in {settings.state_dir}; collect "
            "records its sweeps (--name, --state-dir)"
        )
    return record


def _folded(names: "Iterable[str]") -> str:
    from fleet.report import folded

    return folded(name if name.isprintable() else repr(name) for name in names)


def say(line: str) -> None:
    """To standard error, where everything goes that is no data."""
    click.echo(line, err=True)
