"""`fleet trust`: show the host keys of nodes, and record those that something vouches for."""

import shutil
import sys
from typing import TYPE_CHECKING, Any

import click

from fleet import options
from fleet.exits import hosts_status
from fleet.prepare import prepare, say

if TYPE_CHECKING:
    from fleet.trust.given import Given

MAX_FILE_BYTES = 64 * 2**20


@click.command("trust")
@options.targeting
@click.option(
    "--from",
    "files",
    multiple=True,
    metavar="FILE",
    help="Record the keys that stand here too: the console output of an instance, a known_hosts "
    "file, fingerprints of ssh-keygen -lf; - is standard input. Repeatable.",
)
@click.option(
    "--accept-new",
    is_flag=True,
    help="Trust on first use the hosts of which no key is known.",
)
@click.option(
    "--replace",
    multiple=True,
    metavar="HOST",
    help="Let --from or --accept-new replace the keys known for this host. Repeatable.",
)
@options.form("table", "json")
@options.reaching
def command(
    files: tuple[str, ...],
    accept_new: bool,
    replace: tuple[str, ...],
    form: str,
    **flags: Any,
) -> int:
    """Show the host keys of nodes, and record those that something vouches for.

    All key types of a node are fetched, without a login. Nothing is recorded unless --from or
    --accept-new is given; what is, goes into known_hosts in the state directory.
    """
    if "-" in files and "-" in (flags.get("inventory") or ()):
        raise click.UsageError("standard input can be read once only: give -i or --from as a file")
    if len(set(files)) < len(files):
        raise click.UsageError("--from: the same file is given twice")
    from fleet.trust import round as trust
    from fleet.trust import shown

    settings, selection = prepare(flags, questdb=False)
    order = trust.Order(_given(files) if files else None, accept_new, frozenset(replace))
    trust.check(order, selection.hosts)
    for warning in order.given.warnings if order.given is not None else ():
        say(f"fleet: {warning}")

    from fleet.transport.open import open_ssh
    from fleet.transport.route import Routes

    routes = Routes(settings.ssh_config)
    with open_ssh(selection.hosts, settings, routes) as ssh:
        outcome = trust.run(selection.hosts, settings, order, ssh.shown_keys, routes)
    if form == "json":
        click.echo(shown.as_json(outcome), nl=False)
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        click.echo(shown.as_table(outcome, width), nl=False)
    for line in shown.said(outcome, order, f"{settings.state_dir}/known_hosts"):
        say(f"fleet: {line}")
    failed = len(outcome.failed)
    return hosts_status(failed, failed, len(outcome.counted))


def _given(files: tuple[str, ...]) -> "Given":
    """What the files say together; raises `UsageError` for one that cannot be read."""
    from fleet.trust.given import given_by

    return given_by((file if file != "-" else "standard input", _text(file)) for file in files)


def _text(file: str) -> str:
    import os

    from fleet.errors import UsageError

    try:
        with click.open_file(os.path.expanduser(file), "rb") as stream:
            data: bytes = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"--from: {file!r}: {error.strerror or error}") from None
    if len(data) > MAX_FILE_BYTES:
        raise UsageError(f"--from: {file!r}: it is larger than {MAX_FILE_BYTES >> 20} MiB")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):  # as PowerShell redirects
        return data.decode("utf-16", "replace")
    return data.decode("utf-8-sig", "replace")
