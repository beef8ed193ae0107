"""Statuses of nodes that were entered, and gave no rows. See `fleet.causes`."""

from fleet.causes.cause import About, Cause
from fleet.status import Phase, Status

ON_THE_NODE = {
    Status.NO_DOCKER: About(
        "There is no `docker` on the wide path that the probe searches, or it cannot be executed.",
        (
            Cause(
                "Docker is not installed, or is somewhere else.",
                (
                    "Install it; or name it, by its full path: `fleet_runtime_path`; or take the "
                    "host out.",
                    "On the node, this tells where it is: `command -v docker`",
                ),
            ),
        ),
        phase=Phase.PROBE,
    ),
    Status.DOCKER_DENIED: About(
        "The login may not ask Docker's daemon. What sudo or Docker said is the detail.",
        (
            Cause(
                "`sudo -n` refused: it wants a password or a terminal, or has no such rule.",
                (
                    "Put the line that this prints into a file of /etc/sudoers.d on the node "
                    "(`visudo -f /etc/sudoers.d/fleet`): `{sudoers}`",
                ),
                seen="sudo|password|terminal|tty",
            ),
            Cause(
                "The user is not in the group that may use Docker's socket.",
                (
                    "Put it there, which makes it as good as root: `usermod -aG docker {user}`",
                    "Or set `ansible_become: true`, and allow just what the probe runs, by the "
                    "line that this prints, in a file of /etc/sudoers.d on the node: `{sudoers}`",
                ),
            ),
        ),
        phase=Phase.DAEMON,
    ),
    Status.DOCKER_DOWN: About(
        "No daemon answers, or one that died while it was asked, and no earlier sweep has counted "
        "what runs there: else the kernel's counters stand in, and the visit is `partial`.",
        (
            Cause(
                "The daemon does not run, or its socket is elsewhere.",
                ("On the node: `systemctl status docker`",),
                seen="cannot connect|no such file|is the docker daemon running",
            ),
            Cause(
                "The daemon answers `docker ps`, and `docker stats` hangs: stuck on a single "
                "container, or on containerd.",
                (
                    "Look for the container that this hangs on, on the node: "
                    "`for c in $(docker ps -q); do echo $c; timeout 5 docker inspect $c "
                    ">/dev/null; done`",
                ),
                seen="stuck|though docker ps did",
            ),
            Cause(
                "The daemon took the request and gave no answer within 10 s: it is frozen.",
                ("Look at its log on the node: `journalctl -u docker`",),
                seen="no answer",
            ),
            Cause(
                "The daemon died, or its tool was killed, while it was asked.",
                ("Look at its log on the node: `journalctl -u docker`",),
            ),
        ),
        phase=Phase.DAEMON,
    ),
    Status.BAD_OUTPUT: About(
        "Not one line was of use.",
        (
            Cause(
                "The login's shell runs no commands.",
                (
                    "Give it one that does: `usermod -s /bin/sh {user}`",
                    "Or set `ansible_user` to somebody who has one.",
                ),
                phase=Phase.PROBE,
                seen="not available|nologin",
            ),
            Cause(
                "The answer was cut off before any row came, or it was a flood of more than 4 MiB.",
                ("See what comes: `{ssh} docker ps`",),
                phase=Phase.PROBE,
                seen="cut off",
            ),
            Cause(
                "What came was not in the probe's format: a shell that runs no commands, a login "
                "script that ends the session, or a forced command that is another than the probe.",
                (
                    "See what comes: `{ssh} docker ps`",
                    "This prints the forced command that is right: `fleet authorize {host}`",
                ),
                phase=Phase.PROBE,
            ),
            Cause(
                "Rows came, and none could be understood.",
                (
                    "Please report the one that the detail quotes, with the node's "
                    "`docker version`.",
                ),
                phase=Phase.PARSE,
            ),
        ),
    ),
    Status.PROBE_OUTDATED: About(
        "The node runs the probe as a forced command, in a format that this version no longer "
        "reads.",
        (
            Cause(
                "Its authorized_keys has the text of an older version, or of a newer one.",
                ("Renew the line there: `fleet authorize {host}`",),
            ),
        ),
        phase=Phase.PROBE,
    ),
}
