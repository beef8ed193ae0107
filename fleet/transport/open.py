"""An `Ssh` made from the settings of a command."""

import os
from collections.abc import Iterable
from pathlib import Path

from fleet.inventory import Host
from fleet.settings import Settings
from fleet.transport.host_keys import HostKeys
from fleet.transport.keys import KeyRing, passphrase_from
from fleet.transport.route import Routes
from fleet.transport.ssh import Ssh, SshOptions

OWN_FILE = "known_hosts"
"""Of the state directory: the host keys that `fleet trust` recorded."""


def open_ssh(hosts: Iterable[Host], settings: Settings, routes: Routes | None = None) -> Ssh:
    """Ready to visit these hosts; to be closed. Raises `UsageError` for a file that is no use.

    Who has asked for `routes` before passes them on: the OpenSSH configuration, and its `Match
    exec`, are gone through once.
    """
    return Ssh(
        hosts,
        SshOptions(
            settings.connect_timeout_s,
            host_keys_of(settings),
            routes or Routes(settings.ssh_config),
            KeyRing(passphrase_from(os.environ)),
            settings.connect_timeout_said,
        ),
    )


def host_keys_of(settings: Settings) -> HostKeys:
    """All that may say which keys a host has."""
    own = str(Path(settings.state_dir, OWN_FILE)) if settings.state_dir else None
    return HostKeys(settings.known_hosts, own)
