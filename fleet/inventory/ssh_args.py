"""The words of `ansible_ssh_args` and its kin: which are obeyed, which ignored, which refused.

An option may be ignored only if it changes nothing about which machine is reached as whom. All
else is refused: to ignore a bastion would be to connect around it.
"""

import getopt
import re
import shlex
from dataclasses import dataclass

_OPTIONS = "1246ab:c:e:fgi:kl:m:no:p:qstvxAB:CD:E:F:GI:J:KL:MNO:P:Q:R:S:TVw:W:XYy"  # ssh's own
_FLAGS = {"i": "identityfile", "l": "user", "p": "port", "F": "configfile", "J": "proxyjump"}
_OBEYED = frozenset(("identityfile", "user", "port", "proxyjump", "proxycommand", "hostkeyalias"))
_IGNORED_FLAGS = frozenset("46aAcCeEkKmMnNqStTvxXYy")
_WORDS = """
addressfamily batchmode challengeresponseauthentication checkhostip ciphers compression
compressionlevel connectionattempts connecttimeout controlmaster controlpath controlpersist
forwardagent forwardx11 forwardx11trusted globalknownhostsfile gssapiauthentication
gssapidelegatecredentials hashknownhosts hostbasedauthentication hostkeyalgorithms
identitiesonly ipqos kbdinteractiveauthentication kexalgorithms loglevel macs
numberofpasswordprompts passwordauthentication preferredauthentications pubkeyacceptedalgorithms
pubkeyacceptedkeytypes pubkeyauthentication rekeylimit requesttty sendenv serveralivecountmax
serveraliveinterval setenv stricthostkeychecking tcpkeepalive updatehostkeys userknownhostsfile
verifyhostkeydns visualhostkey
"""
_IGNORED = frozenset(_WORDS.split())
_SETTING = re.compile(r"\s*(\w+)(?:\s*=\s*|\s+)(.*?)\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Options:
    """What some options say, in their order: `settings` to obey, those `refused` or `ignored`."""

    settings: tuple[tuple[str, str], ...]
    refused: tuple[str, ...]
    ignored: tuple[str, ...]


def parse(text: str) -> Options:
    """Read options as a shell and then `ssh` would; ValueError says why they cannot be read."""
    try:
        found, rest = getopt.getopt(shlex.split(text), _OPTIONS)
    except getopt.GetoptError as exc:
        raise ValueError(str(exc)) from None
    settings: list[tuple[str, str]] = []
    refused: list[str] = []
    ignored: list[str] = []
    for flag, value in found:
        if flag == "-o":
            word, setting = _setting(value)
            obeyed, ignorable = word in _OBEYED, word in _IGNORED
        else:
            word, setting = _FLAGS.get(flag[1:], ""), value
            obeyed, ignorable = bool(word), flag[1:] in _IGNORED_FLAGS
        if obeyed:
            settings.append((word, setting))
        else:
            (ignored if ignorable else refused).append(f"{flag} {value}".strip())
    return Options(tuple(settings), (*refused, *rest), tuple(ignored))


def _setting(text: str) -> tuple[str, str]:
    """`Key=Value` or `Key Value` → the key in lower case, the value without its quotes."""
    parts = _SETTING.fullmatch(text)
    if parts is None:
        return "", text
    value = parts[2]
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1]
    return parts[1].lower(), value
