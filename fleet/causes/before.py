"""Statuses of hosts that nothing was sent to. See `fleet.causes`."""

from fleet.causes.cause import About, Cause
from fleet.status import Phase, Status

BEFORE = {
    Status.BAD_CONFIG: About(
        "The host's variables cannot be used, and it is not visited; the others are. The detail "
        "names the variable and its place.",
        (
            Cause(
                "The inventory holds a password. A password cannot be used without a person, or "
                "without lying in a file that others read; fleet logs in with keys only.",
                (
                    "Remove the variable, and let the central host's key in: "
                    "`fleet authorize {host}`",
                    "For sudo, allow just what the probe runs, without a password, by the line "
                    "that this prints, in a file of /etc/sudoers.d on the node: `{sudoers}`",
                ),
                seen="password|ansible_ssh_pass|become_pass|sshpass",
            ),
            Cause(
                "The node's forced command refused a word of the request. It runs the `docker` "
                "that it finds itself, and `fleet_runtime_path` cannot change that.",
                (
                    "Remove `fleet_runtime_path` from the host's variables, or renew the forced "
                    "command: `fleet authorize {host}`",
                ),
                phase=Phase.PROBE,
            ),
            Cause(
                "A port of 0, a vault or a template where a plain value is needed, an SSH option "
                "that cannot be honoured (to ignore a bastion would be to connect around it).",
                (
                    "Correct the variable that the detail names. This shows where each setting was "
                    "said: `fleet hosts --host {host}`",
                ),
            ),
        ),
    ),
    Status.SKIPPED: About(
        "The run ended before the host was done.",
        (
            Cause(
                "The run was interrupted.",
                ("Run it again for those that were left: `fleet collect --failed`",),
                seen="interrupted",
            ),
            Cause(
                "The sweep's `--deadline` came first.",
                ("Raise `--deadline` or `--forks`, or lower `--timeout`.",),
            ),
        ),
    ),
}
