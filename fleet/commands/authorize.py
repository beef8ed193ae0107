"""`fleet authorize`: what lets the central host's key run the probe on nodes, and no more."""

import os
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import click

from fleet import options
from fleet.exits import EXIT_SOME_FAILED
from fleet.prepare import read_inventory, say, select_from

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fleet.authorize import Login
    from fleet.inventory import Host
    from fleet.transport.route import Door, Routes

Place = tuple[str, int, str]
"""An sshd and who enters: address, port, user."""


@click.command("authorize")
@options.targeting
@click.option(
    "--public-key",
    metavar="FILE",
    help="Of the central host. [default: FILE.pub beside each host's private key]",
)
@options.finding
@click.option(
    "--from",
    "sources",
    metavar="ADDRESS[,ADDRESS]...",
    multiple=True,
    help="Let the key in from there only: addresses, networks, patterns.",
)
@click.option(
    "--docker",
    metavar="PATH",
    help="Where docker is on the nodes, for sudoers. [default: /usr/bin/docker]",
)
@options.form("all", "authorized_keys", "sudoers", "cloud-init")
def command(form: str, sources: tuple[str, ...], docker: str | None, **flags: Any) -> int:
    """Print what lets the central host's key run the probe on the nodes, and nothing else.

    That is the line of authorized_keys, with ansible_become the line of sudoers, and the same for
    cloud-init. Nothing is sent anywhere.
    """
    from fleet.authorize import grants, printed, sources_of
    from fleet.commands.own_key import key_finder
    from fleet.errors import UsageError
    from fleet.settings import settings_from
    from fleet.sudoers import is_plain_path
    from fleet.transport.route import Routes

    if docker is not None and not is_plain_path(docker):
        raise UsageError(
            f"--docker: expected an absolute path of letters, digits, '_', '.' and '-', "
            f"not {docker!r}"
        )
    allowed = sources_of(sources)
    settings = settings_from(flags, os.environ, questdb=False)
    inventory = read_inventory(settings)
    selection = select_from(inventory, settings)
    good = [host for host in selection.hosts if host.bad_config is None]
    for host in selection.hosts:
        if host.bad_config is not None:
            say(f"fleet: {host.name}: bad_config: {host.bad_config}")
    public = flags["public_key"]
    key_of: Callable[[Host, Door], str | None]
    needs_none = form == "sudoers" and public is None  # such a line holds no key
    key_of = _no_key if needs_none else key_finder(public)
    routes = Routes(settings.ssh_config)
    behind = _behind(inventory.hosts, routes)
    logins = [login for host in good if (login := _login(host, routes, key_of, behind))]
    found = grants(logins, allowed, docker)
    for grant in found:
        if grant.unfollowed:
            from fleet.report import folded

            say(
                f"fleet: {folded(grant.unfollowed)}: fleet_runtime_path cannot be followed by a "
                "forced command; as long as it is set, visits are bad_config (phase probe)"
            )
    click.echo(printed(found, form), nl=False)
    return EXIT_SOME_FAILED if len(logins) < len(selection.hosts) else 0


def _no_key(_host: "Host", _door: "Door") -> None:
    """For what needs none."""


def _login(
    host: "Host",
    routes: "Routes",
    key_of: "Callable[[Host, Door], str | None]",
    behind: "Mapping[Place, tuple[str, ...]]",
) -> "Login | None":
    """How a host is entered; None, and a line to say why, where that cannot be told."""
    import getpass

    from fleet.authorize import Login
    from fleet.errors import HostError

    if host.connection == "local":
        return Login(host, getpass.getuser(), None)
    try:
        door = routes.to(host).door
    except HostError as error:
        say(f"fleet: {host.name}: {error.status}: {error.detail}")
        return None
    return Login(host, door.user, key_of(host, door), behind.get(_place(door), ()))


def _behind(hosts: "Sequence[Host]", routes: "Routes") -> "Mapping[Place, tuple[str, ...]]":
    """What is reached through each bastion: by any host of the inventory, not only those meant."""
    from fleet.authorize import place_of
    from fleet.errors import HostError

    found: dict[Place, dict[str, None]] = {}
    for host in hosts:
        if host.bad_config is not None or host.connection == "local":
            continue
        with suppress(HostError):  # said where the host itself is meant
            for bastion, door in pairwise(routes.to(host).doors):
                place = place_of(door.address, door.port)
                if place is not None:
                    found.setdefault(_place(bastion), {})[place] = None
    return {bastion: tuple(places) for bastion, places in found.items()}


def _place(door: "Door") -> "Place":
    return door.address.lower(), door.port, door.user
