"""The user's OpenSSH client configuration, ssh_config(5), as far as paramiko carries it.

paramiko parses and matches; around it stand what it lacks: `Include` and the place of a line that
cannot be read (`fleet.transport.config_lines`), tokens expanded only where they are used (its own
ask the resolver for the central host's name with every key file), and a bound for `Match exec`.
"""

import contextlib
import getpass
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import paramiko

from fleet.errors import UsageError
from fleet.transport.config_lines import KEPT_APART, NOT_JUDGED, lines_of

USERS_FILE = "~/.ssh/config"
SYSTEMS_FILE = "/etc/ssh/ssh_config"
MATCH_EXEC_S = 5.0
"""How long a command of `Match exec` may take; it counts as failed then."""

MATCH_EXECS_S = 20.0
"""How long all of a run's may take together, for no visit has begun before."""

NOT_CARRIED = {
    "addressfamily": "addresses are tried in the resolver's order",
    "bindaddress": "the address to connect from is the system's choice",
    "bindinterface": "the interface to connect from is the system's choice",
    "casignaturealgorithms": "algorithms are paramiko's choice",
    "certificatefile": "a certificate is read as KEY-cert.pub beside its key",
    "ciphers": "algorithms are paramiko's choice",
    "fleetcanonicaldomains": "names are looked up as they are",
    "fleetcanonicalizehostname": "names are looked up as they are",
    "globalknownhostsfile": "the system's known_hosts are those in /etc/ssh",
    "hostkeyalgorithms": "the types of the known keys are asked for",
    "hostbasedauthentication": "logins are by key only",
    "identityagent": "the agent is that of SSH_AUTH_SOCK",
    "kexalgorithms": "algorithms are paramiko's choice",
    "knownhostscommand": "host keys come from files and from fleet_host_key",
    "macs": "algorithms are paramiko's choice",
    "nohostauthenticationforlocalhost": "host keys are always checked",
    "pkcs11provider": "keys come from files and from the agent",
    "preferredauthentications": "logins are by key only",
    "pubkeyacceptedalgorithms": "algorithms are paramiko's choice",
    "pubkeyauthentication": "logins are by key only",
    "proxyusefdpass": "a ProxyCommand carries the data itself",
    "revokedhostkeys": "revoked keys are those marked @revoked in known_hosts",
    "securitykeyprovider": "keys come from files and from the agent",
    "stricthostkeychecking": "an unknown host key is always refused",
    "verifyhostkeydns": "host keys come from files and from fleet_host_key",
}
"""Keywords that are read by OpenSSH and not by us, though they may change a login, and why."""

_HARMLESS = {
    "addressfamily": "any",
    "fleetcanonicalizehostname": "no",
    "nohostauthenticationforlocalhost": "no",
    "pubkeyauthentication": "yes",
    "hostbasedauthentication": "no",
    "proxyusefdpass": "no",
    "stricthostkeychecking": "yes",
    "verifyhostkeydns": "no",
}
_SHELL = re.compile(r"""[\s'`"$\\;&<>|(){}*?!#~]|^-""")


@dataclass(frozen=True, slots=True)
class Said:
    """What the configuration says of one host: keywords in lower case, values unexpanded."""

    values: dict[str, Any]

    def text(self, keyword: str) -> str | None:
        """The value of a keyword; None where nothing is said."""
        value = self.values.get(keyword)
        return None if value is None else str(value)

    def texts(self, keyword: str) -> tuple[str, ...]:
        """The values of a keyword that may be given several times."""
        value = self.values.get(keyword) or ()
        return (value,) if isinstance(value, str) else tuple(value)


NOTHING = Said({})


class ClientConfig:
    """The files of one `-F`, or the user's and the system's; or none at all."""

    def __init__(self, files: Sequence[str] = ()) -> None:
        self._config = _Config()
        self.files = tuple(files)
        lines = [line for file in files for line in lines_of(file)]
        if lines:
            self._config.parse(lines)
        self._said: dict[tuple[str, str | None], Said] = {}

    @classmethod
    def named(cls, name: str | None) -> "ClientConfig":
        """The file that was named; nothing for `none`; where nothing was named, the usual ones.

        Raises `UsageError`, with its place, for a line that cannot be read.
        """
        if name == "none":
            return cls()
        if name is not None:
            return cls([os.path.expanduser(name)])
        usual = [os.path.expanduser(USERS_FILE), SYSTEMS_FILE]
        return cls([file for file in usual if os.path.isfile(file)])

    def of(self, address: str, user: str | None = None) -> Said:
        """What is said of an address, as `ssh ADDRESS`, or `ssh -l USER ADDRESS`, would."""
        if not self.files:
            return NOTHING
        key = address, user
        if key not in self._said:
            self._config.user = user
            try:
                found = dict(self._config.lookup(address))
            except (paramiko.SSHException, ValueError, KeyError, OSError) as error:
                shown = ", ".join(self.files)
                raise UsageError(f"{shown}: cannot be applied to {address!r}: {error}") from None
            if found.get("hostname") == address:
                del found["hostname"]
            self._said[key] = Said(found)
        return self._said[key]

    def not_carried(self, address: str, user: str | None = None) -> tuple[str, ...]:
        """Keywords that count for this address and that we do not follow, each with the reason;
        and blocks that we cannot judge.
        """
        said = self.of(address, user).values
        keywords = (
            f"{keyword.removeprefix(KEPT_APART)} {said[keyword]}: {why}"
            for keyword, why in NOT_CARRIED.items()
            if keyword in said and str(said[keyword]).lower() != _HARMLESS.get(keyword)
        )
        blocks = (
            f"Match {words}: fleet cannot judge it, so its block counts for no host"
            for words in sorted(self._config.not_judged)
        )
        return (*keywords, *blocks)


class _Config(paramiko.SSHConfig):
    """Leaves values as they stand (see `expanded`), and bounds and remembers `Match exec`."""

    def __init__(self) -> None:
        super().__init__()
        self._ran: dict[str, bool] = {}
        self._spent_s = 0.0
        self.user: str | None = None
        self.not_judged: set[str] = set()

    def _expand_variables(self, config: Any, _target_hostname: str) -> Any:
        return config

    def _does_match(
        self, match_list: Any, target_hostname: str, canonical: bool, final: bool, options: Any
    ) -> Any:
        named = expanded(options.get("hostname", target_hostname), {"%": "%", "h": target_hostname})
        options = {**options, "hostname": named}
        if self.user is not None:
            options["user"] = self.user
        unknown = [c for c in match_list if c["type"].lower() in NOT_JUDGED]
        if unknown:
            self.not_judged |= {f"{c['type']} {c['param']}" for c in unknown}
            return []
        judged: list[dict[str, Any]] = []
        for criterion in match_list:
            one = criterion
            if criterion["type"] == "exec":
                before = [c for c in judged if c["type"] != "all"]
                if before and not super()._does_match(  # type: ignore[misc]  # not in its stubs
                    before, target_hostname, canonical, final, options
                ):
                    return []
                tokens = tokens_of(
                    named,
                    target_hostname,
                    options.get("port", "22"),
                    options.get("user", user_name()),
                )
                passed = self._run(for_shell(criterion["param"], tokens, "Match exec"))
                # A criterion with the same outcome, that paramiko can judge without running it.
                one = {
                    "type": "originalhost",
                    "param": "*",
                    "negate": passed is criterion["negate"],
                }
            judged.append(one)
        return super()._does_match(  # type: ignore[misc]  # not in its stubs
            judged, target_hostname, canonical, final, options
        )

    def _run(self, command: str) -> bool:
        if command not in self._ran:
            left_s = min(MATCH_EXEC_S, MATCH_EXECS_S - self._spent_s)
            if left_s <= 0:
                self.not_judged.add("exec (all of them took too long together)")
                return False
            started = time.monotonic()
            self._ran[command] = _succeeds(command, left_s)
            self._spent_s += time.monotonic() - started
        return self._ran[command]


def user_name() -> str:
    """Who logs in where nobody is named: whoever runs us. Empty for a user id without a name,
    which no login takes.
    """
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def _succeeds(command: str, seconds: float) -> bool:
    """Whether a command ends well in time; all that it started ends with it."""
    try:
        process = subprocess.Popen(
            ["sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return False
    try:
        return process.wait(seconds) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def tokens_of(host: str, named: str, port: object, user: str) -> dict[str, str]:
    """The tokens of ssh_config(5) by their letters, those that every use allows."""
    return {
        "%": "%",
        "h": host,
        "n": named,
        "p": str(port),
        "r": user,
        "u": user_name(),
        "d": os.path.expanduser("~"),
        "i": str(os.getuid()),
        "L": socket.gethostname().partition(".")[0],
        "l": socket.gethostname(),
    }


def expanded(text: str, tokens: dict[str, str]) -> str:
    """`text` with its tokens replaced; raises ValueError for one that is not known."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in tokens:
            raise ValueError(f"the token %{found[1]} in {text!r} is not known to fleet")
        return tokens[found[1]]

    return re.sub("%(.?)", value, text)


def for_shell(command: str, tokens: dict[str, str], keyword: str) -> str:
    """A command with its tokens replaced. Host and user come from an inventory, perhaps from
    somebody's tags: what goes to a shell may hold nothing that a shell would run.
    """
    for letter in "hnr":
        if f"%{letter}" in command and _SHELL.search(tokens[letter]):
            raise ValueError(
                f"{tokens[letter]!r} cannot stand in a {keyword}: a shell would read it"
            )
    return expanded(command, tokens)
