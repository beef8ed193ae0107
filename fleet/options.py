"""The options that several commands share, as decorators."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _options(*options: Callable[[_Command], _Command]) -> Callable[[_Command], _Command]:
    """Several options as one decorator, shown in the order given."""

    def decorate(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def form(*choices: str) -> Callable[[_Command], _Command]:
    """`--format`, as the parameter `form`; the first choice is the default."""
    return click.option(
        "--format", "form", type=click.Choice(choices), default=choices[0], show_default=True
    )


_many_labels = click.option(
    "--many-labels",
    is_flag=True,
    help="Let a label of fleet_labels have more than 1,000 values.",
)
inventories = _options(
    click.option(
        "-i",
        "--inventory",
        metavar="FILE",
        multiple=True,
        help="Ansible's YAML inventory, a folder of them, an executable that prints one as JSON, "
        "or - for JSON on standard input; several are merged. [default: $FLEET_INVENTORY, else "
        "inventory.yaml]",
    ),
    _many_labels,
)
whose_labels = _options(
    click.option(
        "-i",
        "--inventory",
        metavar="FILE",
        multiple=True,
        help="Whose labels (fleet_labels) are columns. [default: $FLEET_INVENTORY, else none]",
    ),
    _many_labels,
)
job_name = click.option(
    "--name",
    help="Of this job: its lock, and its rows in fleetSweep. [default: fleet]",
)
state_dir = click.option(
    "--state-dir",
    metavar="DIR",
    help="For spool, locks and host keys. [default: $FLEET_STATE_DIR, else $STATE_DIRECTORY, else "
    "~/.local/state/fleet]",
)
targeting = _options(
    click.argument("patterns", nargs=-1, metavar="[PATTERN]..."),
    inventories,
    click.option("-l", "--limit", metavar="PATTERN", help="Only hosts that match this as well."),
    click.option(
        "--failed",
        is_flag=True,
        help="Only hosts that failed in the last sweep of this --name.",
    ),
    job_name,
    state_dir,
)
finding = _options(
    click.option(
        "--private-key",
        metavar="FILE",
        help="For hosts whose inventory names none. [default: $FLEET_SSH_KEY_FILE]",
    ),
    click.option(
        "-F",
        "--ssh-config",
        metavar="FILE",
        help="Instead of ~/.ssh/config and the system's; none for none at all.",
    ),
)
reaching = _options(
    click.option(
        "-f",
        "--forks",
        type=int,
        help="Hosts visited at the same time. [default: 200]",
    ),
    click.option(
        "--connect-timeout",
        type=float,
        metavar="SECONDS",
        help="For resolving, connecting, the key exchange and the login, each. [default: 10]",
    ),
    click.option(
        "--timeout",
        type=float,
        metavar="SECONDS",
        help="For one host's whole visit. [default: 30]",
    ),
    click.option(
        "--deadline",
        type=float,
        metavar="SECONDS",
        help="For the whole sweep. [default: 240]",
    ),
    finding,
    click.option(
        "--known-hosts",
        metavar="FILE",
        help="Instead of ~/.ssh/known_hosts and the system's.",
    ),
)
source = click.option(
    "--source",
    type=click.Choice(["docker", "kernel"]),
    help="Of the figures, instead of each host's fleet_source: docker stats beside the kernel's "
    "counters, or these alone.",
)
visiting = _options(
    reaching,
    source,
    click.option(
        "--max-failed",
        metavar="N|N%",
        help="How many failed hosts still count as well. [default: 0]",
    ),
)
tables = _options(
    click.option("--table", metavar="NAME", help="[default: containerStats]"),
    click.option("--status-table", metavar="NAME", help="[default: hostStatus]"),
    click.option("--sweep-table", metavar="NAME", help="[default: fleetSweep]"),
    click.option("--state-table", metavar="NAME", help="[default: containerState]"),
    click.option("--node-table", metavar="NAME", help="[default: nodeStats]"),
    click.option("--disk-table", metavar="NAME", help="[default: diskStats]"),
)
database = _options(
    click.option(
        "--questdb",
        metavar="CONF",
        help="The client's configuration string, without secrets. "
        "[default: $QDB_CLIENT_CONF, else http::addr=localhost:9000;]",
    ),
    click.option(
        "--questdb-file",
        metavar="FILE",
        help="A file that holds the configuration string, secrets and all.",
    ),
    tables,
)
delivering = _options(
    click.option(
        "--wait-lock",
        type=float,
        metavar="SECONDS",
        help="For the end of another run of the same --name. [default: 0]",
    ),
    click.option(
        "--publish-timeout",
        type=float,
        metavar="SECONDS",
        help="For trying again to publish, once the sweep is over. [default: retry_timeout of the "
        "QuestDB configuration, 10]",
    ),
    click.option(
        "--drain-seconds",
        type=float,
        metavar="SECONDS",
        help="For sending what waits in the spool, afterwards. [default: 30]",
    ),
    click.option("--spool-max-age", metavar="TIME", help="Older rows are dropped. [default: 7d]"),
    click.option(
        "--spool-max-bytes",
        metavar="SIZE",
        help="What would make the spool larger drops the oldest. [default: 1GiB]",
    ),
)
talking = _options(
    click.option("-v", "--verbose", is_flag=True, help="A summary also when all is well."),
    click.option("-q", "--quiet", is_flag=True, help="No summary and no progress."),
)
