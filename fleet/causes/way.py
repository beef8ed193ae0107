"""Statuses of nodes that were not reached. See `fleet.causes`."""

from fleet.causes.cause import About, Cause
from fleet.status import Phase, Status

ON_THE_WAY = {
    Status.DNS: About(
        "The address does not resolve.",
        (
            Cause(
                "The resolver gave no answer within `--connect-timeout`.",
                ("Mend the resolver of the central host. What it says: `getent hosts {address}`",),
                seen="no answer",
            ),
            Cause(
                "No such name is known to the central host's resolver.",
                (
                    "Set `ansible_host` to an address, or `HostName` in the OpenSSH "
                    "configuration, or mend the resolver: `getent hosts {address}`",
                    "If only a bastion knows the name, name the bastion: `fleet_jump`.",
                ),
            ),
        ),
        phase=Phase.RESOLVE,
    ),
    Status.UNREACHABLE: About(
        "No connection came about, or it was ended before the login, twice.",
        (
            Cause(
                "From the bastion named in `via` no way leads to it.",
                (
                    "Try it from there: `{ssh}`",
                    "Does the node's security group let the bastion in, on port {port}? Does the "
                    "bastion's resolver know {address}?",
                ),
                seen="from the bastion",
            ),
            Cause(
                "The ProxyCommand made no connection; the detail has its last words.",
                ("Run it by hand. This shows where it was said: `fleet check -v {host}`",),
                seen="ProxyCommand",
            ),
            Cause(
                "The machine is there, and nobody listens on the port.",
                (
                    "Is sshd running, and on that port? On the node: `ss -ltn sport = :{port}`",
                    "If it listens elsewhere, set `ansible_port`.",
                ),
                seen="refused",
            ),
            Cause(
                "No way leads there.",
                (
                    "Is the machine up, and the address right? Does the route, the VPN or the "
                    "security group let the central host in? `ip route get {address}`",
                    "If it is reached by way of a bastion only, name that: `fleet_jump`.",
                ),
                seen="no route|unreachable|not permitted",
            ),
            Cause(
                "The connection was ended before the login: an sshd that sheds load "
                "(`MaxStartups`), fail2ban, or another program on that port.",
                (
                    "Look at the node's log: `journalctl -u ssh -u sshd`",
                    "If it sheds load, lower `--forks`, or raise `MaxStartups` in its sshd_config.",
                ),
                seen="ended|reset|turned away|maxstartups",
            ),
            Cause(
                "The machine is down, sshd does not run on that port, or a security group does "
                "not let the central host in.",
                ("Try it by hand: `{ssh}`",),
            ),
        ),
        phase=Phase.CONNECT,
    ),
    Status.JUMP_FAILED: About(
        "The bastion named in `via` could not be reached or passed; the hosts behind it were not "
        "tried. The detail has the bastion's own failure.",
        (
            Cause(
                "The bastion does not forward: `AllowTcpForwarding no`, `PermitOpen`, or a key "
                "with `restrict` or `no-port-forwarding` there.",
                (
                    'Allow it for the central host\'s key: `permitopen="{address}:{port}"` and '
                    "`port-forwarding` before that key in the bastion's authorized_keys.",
                ),
                seen="prohibited|forward|refused a channel",
            ),
            Cause(
                "The bastion's host key is not known, or not the known one.",
                (
                    "If it is a host of the inventory, record its key as any other's: "
                    "`fleet trust {via} --from console.txt`",
                    "Else put it into known_hosts, as its own address and port.",
                ),
                seen="no key is known|not the key known|known type|revoked",
            ),
            Cause(
                "The bastion could not be reached, let nobody in, or was lost on the way.",
                (
                    "If it is a host of the inventory, see its own steps: `fleet check {via}`",
                    "A bastion has a user, a port and a key of its own: `fleet_jump: "
                    "user@host:port`, or the variables of the host of that name.",
                ),
            ),
        ),
    ),
    Status.TIMEOUT: About(
        "Something took longer than it may; the phase says what.",
        (
            Cause(
                "The bastion named in `via` was not reached in time, or so many hosts stand behind "
                "it that this one's turn did not come: logins through one bastion are paced, so "
                "that its sshd drops none.",
                (
                    "If it is a host of the inventory, see its own steps: `fleet check {via}`",
                    "If it is just many hosts, raise `--timeout`.",
                ),
                phase=Phase.CONNECT,
                seen="the bastion .* in time",
            ),
            Cause(
                "Nobody answered the bastion named in `via`: a firewall between the two that "
                "drops, a machine that is down, or a wrong address.",
                (
                    "Does the node's security group let the bastion in, on port {port}? Try it by "
                    "hand: `{ssh}`",
                ),
                phase=Phase.CONNECT,
                seen="by way of",
            ),
            Cause(
                "The port took the connection and said nothing, or too slowly: a machine out of "
                "memory, a frozen sshd, one that waits for a resolver (`UseDNS`), or a proxy.",
                (
                    "Try it by hand: `{ssh}`",
                    "If it is just slow, raise `--connect-timeout`.",
                ),
                phase=Phase.CONNECT,
                seen="took the connection|key exchange",
            ),
            Cause(
                "Nobody answered: a firewall or a security group that drops, a machine that is "
                "down, or a wrong address.",
                (
                    "Does the security group let the central host in, on port {port}?",
                    "If the node is reached by way of a bastion only, name that: `fleet_jump`.",
                ),
                phase=Phase.CONNECT,
            ),
            Cause(
                "The login was not through in time: PAM or a directory service (LDAP, SSSD) that "
                "hangs on the node.",
                (
                    "Try it by hand: `{ssh}`",
                    "If it is just slow, raise `--connect-timeout`.",
                ),
                phase=Phase.LOGIN,
            ),
            Cause(
                "The answer was not complete when `--timeout` was over: a login script that "
                "waits, or a node under heavy load.",
                ("Raise `--timeout`, or see what holds it up: `{ssh} true`",),
                phase=Phase.PROBE,
            ),
            Cause(
                "Docker had too little time to answer.",
                (
                    "Raise `--timeout`: with less than 13 s a slow daemon cannot be told from a "
                    "dead one.",
                ),
                phase=Phase.DAEMON,
            ),
        ),
    ),
    Status.SSH_ERROR: About(
        "Anything else that SSH said; the detail has it.",
        (
            Cause(
                "What listens there is no SSH server; the detail quotes its greeting.",
                ("Set `ansible_port` to the port of sshd.",),
                seen="no SSH server|greeting",
            ),
            Cause(
                "Both sides have no algorithm in common: an sshd of long ago, or a hardened one.",
                (
                    "Upgrade it, or allow one that both have. This shows what it offers: "
                    "`{ssh} -vv true`",
                ),
                seen="incompatible|no acceptable|algorithm",
            ),
            Cause(
                "The login went through, and the server opened no session for a command.",
                (
                    "Look at `MaxSessions` in the node's sshd_config, and at its log: "
                    "`journalctl -u ssh -u sshd`",
                ),
                seen="opened no session",
            ),
            Cause(
                "The connection broke, or the server does not speak as SSH does.",
                ("Try it by hand: `{ssh} true`",),
            ),
        ),
    ),
}
