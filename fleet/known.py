"""What is known of a host before it is visited: the way to it, and where each setting was said."""

from collections.abc import Callable

from fleet.check import Known
from fleet.errors import FleetError, HostError
from fleet.hop import Hop
from fleet.inventory import Host, Inventory, Setting
from fleet.transport.route import Routes
from fleet.visit import printable

IGNORED = "ignored"
"""The name of a `Setting` that was read and is not obeyed."""


def known_by(inventory: Inventory, routes: Routes) -> Callable[[Host], Known]:
    """What tells it of any host of the inventory."""

    def known(host: Host) -> Known:
        told = [_safe(one) for one in inventory.explainer(host)] if inventory.explainer else []
        notes = [f"read, and not obeyed: {one.value} ({one.origin})" for one in told if _idle(one)]
        settings = [setting for setting in told if not _idle(setting)]
        keys = (host.key_file,) if host.key_file else ()
        own = Hop(host.name, host.address, host.port or 22, host.user or "", keys)
        if host.connection != "ssh" or host.bad_config is not None:
            return Known((own,), tuple(settings), tuple(notes))
        try:
            way = tuple(door.hop for door in routes.to(host).doors)
            notes += [
                f"in the OpenSSH configuration, and not followed: {printable(line)}"
                for line in routes.not_carried(host)
            ]
            added = [_safe(setting) for setting in routes.explain(host)]
            return Known(way, _merged(settings, added), tuple(notes))
        except (HostError, FleetError):  # the visit says so
            return Known((own,), tuple(settings), tuple(notes))

    return known


def _safe(setting: Setting) -> Setting:
    return Setting(setting.name, printable(setting.value), printable(setting.origin))


def _idle(setting: Setting) -> bool:
    return setting.name == IGNORED


def _merged(said: list[Setting], added: list[Setting]) -> tuple[Setting, ...]:
    """What the inventory says, and in the place of what it leaves open, what the user's
    configuration says.
    """
    instead = {setting.name: setting for setting in added}
    merged = [instead.pop(setting.name, setting) for setting in said]
    return (*merged, *instead.values())
