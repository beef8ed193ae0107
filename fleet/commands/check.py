"""`fleet check`: what works on each host, step by step, and, where it does not, what to do."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from fleet import options
from fleet.exits import hosts_status
from fleet.prepare import read_inventory, select_from

if TYPE_CHECKING:
    from fleet.check import Checked, Passed, RunTelling
    from fleet.inventory import Host
    from fleet.settings import Settings
    from fleet.transport.route import Routes


@click.command("check")
@options.targeting
@options.reaching
@options.form("text", "json")
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="Every step of every host, and where each of its settings was said.",
)
def command(form: str, **flags: Any) -> int:
    """Replay a visit of each host step by step; say what to do where a step fails.

    Nothing is published or stored. Up to five hosts are shown with all their steps; of more, those
    that fail.
    """
    from fleet import check_report
    from fleet.check import check
    from fleet.known import known_by
    from fleet.settings import settings_from
    from fleet.sweep import Limits
    from fleet.transport.route import Routes

    settings = settings_from(flags, os.environ, questdb=False)
    inventory = read_inventory(settings)
    hosts = select_from(inventory, settings).hosts
    limits = Limits(settings.forks, settings.timeout_s, settings.deadline_s)
    routes = Routes(settings.ssh_config)
    known = known_by(inventory, routes)
    found: dict[str, Checked] = {}
    bug: Exception | None = None
    with _reaching(hosts, settings, routes) as (run, passed), _progress(len(hosts)) as watch:
        try:
            for one in check(hosts, run, known, limits, passed):
                found[one.host.name] = one
                watch(one)
        except Exception as error:  # noqa: BLE001 - raised below: the other hosts are shown first
            bug = error
    checked = [found[host.name] for host in hosts if host.name in found]
    if form == "json":
        click.echo(check_report.as_json(checked).encode(), nl=False)
    else:
        few = len(checked) <= check_report.FEW_HOSTS
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else check_report.WIDTH
        shown = check_report.Shown(settings.verbose or few, settings.verbose, width)
        click.echo(check_report.as_text(checked, shown), nl=False)
    if bug is not None:
        raise RuntimeError("a bug in fleet, please report it") from bug
    return _status(checked)


@contextmanager
def _reaching(
    hosts: "Sequence[Host]", settings: "Settings", routes: "Routes"
) -> "Iterator[tuple[RunTelling, Callable[[Host], Passed]]]":
    """What runs a request on a host and tells how far it came, and which bastions were passed."""
    from fleet.transport import local
    from fleet.transport.open import open_ssh

    with open_ssh(hosts, settings, routes) as ssh:

        def run(host: "Host", request: Any, allowance: Any, told: Any) -> Any:
            if host.connection == "local":
                return local.run(host, request, allowance)
            return ssh.run(host, request, allowance, told)

        yield run, ssh.passed


@contextmanager
def _progress(total: int) -> "Iterator[Callable[[Checked], None]]":
    """A bar on a terminal while hosts are outstanding."""
    from fleet.show import progress

    with progress(total, quiet=False) as watch:
        yield lambda one: watch(one.visit)


def _status(checked: "Sequence[Checked]") -> int:
    """As that of collect: hosts in maintenance count for nothing."""
    from fleet.status import Status

    counted = [one for one in checked if not one.host.maintenance]
    failed = sum(one.failed for one in counted)
    dead = sum(one.visit.status not in (Status.OK, Status.PARTIAL) for one in counted)
    return hosts_status(failed, dead, len(counted))
