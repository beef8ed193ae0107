"""The probe: the one text that runs on a node, and how its answer is cut into sections.

The text is constant. It is sent as the exec request of an SSH session, on one line, as
`exec sh -c 'TEXT' fleet 'PS_FORMAT' 'INSPECT_FORMAT' -- WORD ...`, and stands the same way, without
the words, in `command="..."` of a node's authorized_keys; it then takes the words from
SSH_ORIGINAL_COMMAND. Whatever the login shell is, it sees three strings in single quotes: the text
holds no single quote, no backslash, no exclamation mark and no newline, which are all that sh,
bash, zsh, fish and tcsh read differently there.

Words: `runtime=docker`, `sections=host,node,kernel,ps,state,stats` (any of them), `source=docker`
or `source=kernel`, `window=0..9` (seconds between two readings of counters, where `docker stats`
does not run in between), `become=0|1`, `t=1..999` (seconds left of the visit),
`path=[A-Za-z0-9_./-]+` (the CLI; refused under a forced command). A word that a later version may
bring (`name=value`) is passed over; anything else is refused.

The answer, version 2: sections framed by `@fleet 2 B NAME` and `@fleet 2 E NAME RC`, and
`@fleet 2 END` at the very end. RC is the exit status of the section's tool (124, 137 and 143:
it was ended by the clock). Blank lines mean nothing. The sections, in this order:

- `args` only when a word was refused (RC 64); `END` follows.
- `host`: `uptime SECONDS` (/proc/uptime), `clock SECONDS` (date(1), since 1970; no line where it
  cannot tell) and `cpus N` (online CPUs), one a line.
- `node`: the node itself (`fleet.sources.node`).
- `kernel1`: containers' counters (`fleet.sources.kernel`), before a daemon is asked that may hang.
- `tool`: the path of the CLI; RC 127 when there is none, and `END` follows.
- `ps1`: the listed containers, running or not (`PS_FORMAT` of `fleet.sources.docker`).
- `state`: more of each of them (`fleet.sources.state`); `version`: the daemon's.
- `stats`: their figures (`STATS_FORMAT`). With `source=kernel` only if containers are listed as
  running, and no cgroup of any of them was found.
- `clock`: `uptime SECONDS` again, right after the figures were taken.
- `kernel2`: counters again; with `source=kernel` and `window=0` only which cgroups are the same.
- `ps2`: the listed containers after `stats`.

When the clock ended a tool, the daemon hangs, and is asked no more. Values from Docker are JSON,
one line each, so no name or label can forge a marker. What the tools say on stderr goes to stderr.
With `become=1`, and only then, the CLI is run as `sudo -n timeout -k 2 NNN /PATH/docker ...`, the
seconds always in three digits: `fleet.sudoers` has the rule that allows just this.

Version 1, which is still read where it stands as a forced command, had only `host` (without
`clock`), `tool`, `ps1` (what runs), `stats`, `clock` and `ps2`, and the seconds of timeout(1)
without leading zeros.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fleet.inventory import Host
from fleet.sources import kernel, node
from fleet.sources.docker import PS_FORMAT, STATS_FORMAT
from fleet.sources.state import INSPECT_FORMAT, VERSION_FORMAT

SECTIONS = ("host", "node", "kernel", "ps", "state", "stats")
"""What may be asked for; all of it always is."""

VERSION = 2
READABLE_VERSIONS = (VERSION - 1, VERSION)
"""Formats that are read: a forced command need not be renewed on the day that fleet is."""
CLOCK_ENDED = (124, 137, 143)
"""Exit statuses of a tool that was ended by the probe's own clock."""

MAX_LINES = 131_072
"""Lines of an answer that are read: twice those of 2,000 containers, and a bound for a flood."""

REFUSED = 64
NOT_FOUND = 127

_TEXT = " ".join(
    (
        # Lines are gathered in P and written in few pieces, for each is a packet of its own: before
        # a tool writes, and before anything that may hang. N is a line feed.
        'N=$(echo; echo .); N=${N%.}; P=; out() { P="$P$*$N"; };',
        'put() { printf %s "$P"; P=; };',
        # Frames. The blank line first keeps a marker apart from a line that was cut off.
        f'say() {{ P="$P$N@fleet {VERSION} $*$N"; }};',
        "fin() { say END; put; exit 0; };",
        "refuse() { say B args; say E args 64; fin; };",
        # Seconds since boot, without a fork; empty where there is no /proc.
        "now() { u=; read -r u v </proc/uptime; } 2>/dev/null;",
        'uptime() { now; if [ -n "$u" ]; then out "uptime $u"; fi; };',
        # left N: n = what remains of the visit less a second to answer in, within 1 and N.
        'left() { now; n=$(($e - ${u%%.*} - 1)); if [ "$n" -gt "$1" ]; then n=$1; fi;',
        'if [ "$n" -lt 1 ]; then n=1; fi; };',
        # hit SIGNAL: to the tool and to its children (of sudo, of a script that is called docker).
        "hit() { x=; read -r x </proc/$p/task/$p/children;",
        "kill $1 $x $p || { [ $b = 1 ] && sudo -n kill $1 $x $p; }; };",
        # go N TOOL ...: run a tool for at most N seconds, by timeout(1) or by a watchdog.
        "go() { left $1; shift;",
        # Three digits, for sudoers knows no pattern for "one or two".
        "if [ $k = 1 ]; then case $n in ?) n=00$n;; ??) n=0$n;; esac;",
        'set -- timeout -k 2 $n "$@"; fi;',
        'if [ $b = 1 ]; then set -- sudo -n "$@"; fi;',
        'if [ $k = 1 ]; then "$@" </dev/null; return; fi;',
        '"$@" </dev/null & eval "p=$g";',
        # The watchdog sleeps by the second: whenever it is called off, no long sleep stays behind
        # (a signal to a child that has not yet become sleep would be lost).
        "{ while :; do [ -d /proc/$p ] || kill -0 $p || exit; [ $n -gt 0 ] || break;",
        "sleep 1; n=$(($n - 1)); done;",
        "hit -15; sleep 2; hit -9; } </dev/null >/dev/null 2>&1 &",
        'eval "w=$g"; wait $p; c=$?; kill $w 2>/dev/null; wait $w 2>/dev/null; return $c; };',
        # ended C: what the shell says of a tool (ksh and yash count signals from 256 and 384); when
        # the clock ended it, the daemon hangs, and is asked no more (h).
        "ended() { c=$1; if [ $c -gt 255 ]; then c=143; fi;",
        "case $c in 124|137|143) h=1;; esac; };",
        # part NAME N TOOL ...: a section.
        'part() { [ $h = 0 ] || return; a=$1; shift; say B $a; put; go "$@"; ended $?;',
        "say E $a $c; };",
        kernel.TEXT,
        node.TEXT,
        # Nothing of the login's environment may point docker elsewhere.
        "unset DOCKER_HOST DOCKER_CONTEXT DOCKER_API_VERSION; LC_ALL=C;",
        "PATH=${PATH:-/usr/bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin;",
        "PATH=$PATH:/snap/bin:/opt/bin; export LC_ALL PATH;",
        # The words: from the command line, else, under a forced command, from what was asked.
        f"q=$1; i=$2; shift 2; forced=0; d=docker; l={','.join(SECTIONS)}; b=0; t=20; h=0; W=0;",
        "S=docker;",
        "if [ $# = 0 ]; then forced=1; set -f; set -- ${SSH_ORIGINAL_COMMAND##* -- }; set +f;",
        "else shift; fi;",
        'for a in "$@"; do v=${a#*=}; case $a in',
        "runtime=docker|become=[01]|t=[1-9]|t=[1-9][0-9]|t=[1-9][0-9][0-9]|window=[0-9]) ;;",
        "source=docker|source=kernel) ;;",
        "path=?*) d=$v;",
        'if [ $forced = 1 ] || [ -n "$(printf %s "$v" | tr -d A-Za-z0-9_./-)" ]; then refuse; fi;;',
        "sections=*) l=$v;;",
        "runtime=*|become=*|t=*|path=*|source=*|window=*) refuse;;",
        "[a-z]*=*) ;;",
        "*) refuse;; esac;",
        "case $a in become=*) b=$v;; t=*) t=$v;; source=*) S=$v;; window=*) W=$v;; esac; done;",
        "now; e=$((${u%%.*} + $t));",
        # Old busybox has another timeout(1), others none: the watchdog then needs the shell's
        # "pid of the last job" ($ and the mark after it), spelled by tr.
        "if timeout -k 1 1 true 2>/dev/null; then k=1;",
        'else k=0; g=$(echo eb | tr a-e " -$"); fi;',
        "case ,$l, in *,host,*) say B host; uptime;",
        'if c=$(date +%s 2>/dev/null); then out "clock $c"; fi;',
        'out "cpus $(grep -c "^cpu[0-9]" /proc/stat 2>/dev/null)"; say E host 0;; esac;',
        "case ,$l, in *,node,*) facts;; esac;",
        "D=; case ,$l, in *,kernel,*) groups; count kernel1;; esac;",
        # By its full path, for sudo may look elsewhere.
        'say B tool; if x=$(command -v "$d"); then out "$x"; case $x in /*) d=$x;; esac;',
        "say E tool 0; else say E tool 127; fin; fi;",
        # o: the ids of all that are listed (in JSON, no quote inside a label stands alone); R: one
        # of them runs; f: one of them is among the cgroups that were found.
        "o=; f=0; R=0; case ,$l, in *,ps,*) say B ps1; put;",
        # Kept to be looked through, with its exit status after it. A flood, longer than what the
        # central host reads, is passed on as it is, and ends the answer.
        'z=$({ go 10 "$d" ps --no-trunc --format "$q" -a; echo "#$?"; } | head -c 4500000);',
        'if [ ${#z} -gt 4400000 ]; then printf %s "$z"; fin; fi;',
        'c=${z##*#}; printf %s "${z%#*}"; ended ${c:-1}; say E ps1 $c;',
        'Q=$(echo c | tr a-e " -$"); case $z in *,${Q}running$Q,*|*,${Q}paused$Q,*) R=1;; esac;',
        'set -f; for y in $z; do case $y in "["$Q$X$Q,*) y=${y#??}; y=${y%%$Q*};',
        'o="$o $y"; if [ $f = 0 ]; then case $D in *$y*) f=1;; esac; fi;; esac; done;',
        "set +f;; esac;",
        'case ,$l, in *,state,*) if [ -n "$o" ]; then',
        'part state 10 "$d" inspect --type container --format "$i" -- $o; fi;',
        f'part version 5 "$d" version --format "{VERSION_FORMAT}";; esac;',
        # Without docker stats only what is asked for stands between the two readings.
        "Z=0; if [ $S = kernel ] && [ $f$R -ne 1 ]; then Z=1; fi;",
        "case $Z,$l, in 0,*stats,*) part stats 999",
        f'"$d" stats --no-stream --no-trunc --format "{STATS_FORMAT}";; esac;',
        "say B clock; uptime; say E clock 0;",
        "case ,$l, in *,kernel,*) case $Z$W in 10) seal kernel2;;",
        "1*) left $W; sleep $n; count kernel2;; *) count kernel2;; esac;; esac;",
        'case $Z,$l, in 0,*ps,*) part ps2 10 "$d" ps --no-trunc --format "$q";; esac;',
        "fin",
    )
)

COMMAND = f"exec sh -c '{_TEXT}' fleet '{PS_FORMAT}' '{INSPECT_FORMAT}'"
"""The constant part of the request: what may stand as `command=` in an authorized_keys."""

_MARKER = re.compile(r"@fleet (\d{1,4}) (?:(END)|B ([a-z0-9]{1,16})|E ([a-z0-9]{1,16}) (\d{1,3}))")


def request(host: Host, seconds: float, window_s: int = 1) -> str:
    """The whole command line for one visit that has `seconds` left, with `window_s` between two
    readings of the kernel's counters where `docker stats` is not run.
    """
    words = [
        f"runtime={host.runtime}",
        f"sections={','.join(SECTIONS)}",
        f"source={host.source}",
        f"window={max(0, min(9, window_s))}",
        f"become={int(host.become)}",
        f"t={max(1, min(999, int(seconds)))}",
    ]
    if host.runtime_path is not None:
        words.append(f"path={host.runtime_path}")
    return f"{COMMAND} -- {' '.join(words)}"


@dataclass(frozen=True, slots=True)
class Section:
    """What stood between two markers: its lines, blank ones left out, and the tool's RC.

    `rc` is None where the closing marker is missing.
    """

    lines: tuple[str, ...]
    rc: int | None


@dataclass(frozen=True, slots=True)
class Answer:
    """A node's answer, cut. `version` is None when there was not one opening marker.

    `whole` says that `END` came, and nothing against the format before it. `noise` is the first
    line that came before any marker (a login shell's greeting, or what came instead).
    """

    version: int | None
    sections: Mapping[str, Section]
    whole: bool
    noise: str | None

    def lines(self, name: str) -> tuple[str, ...]:
        """The lines of a section; none where it is missing."""
        section = self.sections.get(name)
        return section.lines if section else ()

    def rc(self, name: str) -> int | None:
        """The exit status of a section; None where it is missing or was cut off."""
        section = self.sections.get(name)
        return section.rc if section else None


def cut(stdout: bytes | bytearray) -> Answer:
    """Cut an answer into sections. Anything is accepted; nothing is raised.

    A marker out of order (a section in a section, an end of another one, a name twice) ends the
    reading there, as a cut-off answer does: what stood before it counts. So does the line after
    `MAX_LINES`.
    """
    version: int | None = None
    noise: str | None = None
    sections: dict[str, Section] = {}
    name: str | None = None
    lines: list[str] = []
    whole = False
    for line in stdout.decode("utf-8", "replace").split("\n", MAX_LINES)[:MAX_LINES]:
        text = line.rstrip("\r")
        marker = _MARKER.fullmatch(text) if text.startswith("@fleet ") else None
        if marker is None:
            if not text.strip():
                continue
            if name is not None:
                lines.append(text)
            elif version is None and noise is None:
                noise = text
            continue
        number, end, opened, closed, rc = marker.groups()
        if version is None and (opened or end):
            version = int(number)
        if version != int(number):
            break
        if end:
            whole = name is None
            break
        if opened and name is None and opened not in sections:
            name, lines = opened, []
        elif name is not None and closed == name:
            sections[name] = Section(tuple(lines), int(rc))
            name = None
        elif version is not None:
            break
    if name is not None:
        sections[name] = Section(tuple(lines), None)
    return Answer(version, sections, whole, noise)
