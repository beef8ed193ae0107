"""How a visit's course becomes steps, and the steps what is read. No network."""

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest

from fleet.allowance import Allowance
from fleet.check import Checked, Known, check
from fleet.check_report import Shown, as_json, as_text
from fleet.errors import HostError
from fleet.hop import Hop
from fleet.inventory import Host, Inventory, Setting
from fleet.known import known_by
from fleet.status import Phase, Status
from fleet.steps import NODE, WAY
from fleet.sweep import Limits
from fleet.transport import Ended, Reply, Request, Told
from fleet.transport.route import Routes

LIMITS = Limits(forks=4, timeout_s=10, deadline_s=30)
RUN_S = 2.0
ID = "a" * 64
PS = json.dumps([ID, "web", "busy:1", "running", "bridge", "", "", "", ""])
ROW = json.dumps(
    {
        "BlockIO": "1MB / 2MB",
        "CPUPerc": "1.50%",
        "ID": ID,
        "MemPerc": "25.00%",
        "MemUsage": "1MiB / 4MiB",
        "Name": "web",
        "NetIO": "1kB / 2kB",
        "PIDs": "3",
    }
)
DOWN = b"Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is it running?"
DENIED = b"permission denied while trying to connect to the Docker daemon socket"

Play = Callable[[Told], Reply]
"""What a host does when it is visited."""


def _answer(*parts: tuple[str, int, str], skew_s: float = 0.0, version: int = 2) -> bytes:
    """An answer in the probe's format, with `host` before the parts given."""
    host = ("host", 0, f"uptime 100.5\nclock @{skew_s:+.0f}@\ncpus 4\n")
    tool = ("tool", 0, "/usr/bin/docker\n")
    before = [host] if parts and parts[0][0] in ("tool", "args") else [host, tool]
    text = "".join(
        f"\n@fleet {version} B {name}\n{body}\n@fleet {version} E {name} {rc}\n"
        for name, rc, body in (*before, *parts)
    )
    return f"{text}\n@fleet {version} END\n".encode()


def _told_now(stdout: bytes) -> bytes:
    """The answer with the node's clock as it was when the probe began: of `RUN_S`, a second and a
    half were the probe's own by its uptime, and half of the rest came before.
    """
    read_at = time.time() - RUN_S + (RUN_S - 1.5) / 2
    return re.sub(rb"@([+-]\d+)@", lambda skew: b"%d" % (read_at + int(skew[1])), stdout)


def _good(**options: float) -> bytes:
    kernel = [("kernel1", 0, "cgroup 2\nt 100.6"), ("kernel2", 0, "cgroup 2\nt 102.1")]
    listed = [("ps1", 0, PS), ("stats", 0, ROW), ("clock", 0, "uptime 102.0"), ("ps2", 0, PS)]
    return _answer(*kernel, *listed, **options)  # type: ignore[arg-type]


def _way_to(told: Told) -> None:
    told(Phase.RESOLVE, "10.0.0.1")
    told(Phase.CONNECT, "10.0.0.1 port 22")
    told(Phase.HOST_KEY, "ssh-ed25519 SHA256:abc, by known_hosts:3")
    told(Phase.LOGIN, "as ops by ssh-ed25519 SHA256:def")


def _answers(stdout: bytes, stderr: bytes = b"", via: str | None = None, **more: object) -> Play:
    def play(told: Told) -> Reply:
        _way_to(told)
        reply = Reply(0.1, RUN_S, 0, _told_now(stdout), stderr, via=via)
        return replace(reply, **more)  # type: ignore[arg-type]

    return play


def _fails(
    status: Status, phase: Phase, detail: str, *before: Phase, via: str | None = None
) -> Play:
    def play(told: Told) -> Reply:
        for done in before:
            told(done, f"seen at {done}")
        raise HostError(status, phase, detail, via)

    return play


OWN = Hop("web01", "10.0.0.1", 22, "ops", ("/keys/id",))
JUMP = Hop("b1", "10.9.9.9", 22, "jo")


def _known(host: Host, *jumps: Hop, **more: object) -> Known:
    return Known((*jumps, OWN._replace(name=host.name)), **more)  # type: ignore[arg-type]


def _check(
    plays: Mapping[str, Play],
    *,
    hosts: Sequence[Host] = (),
    known: Callable[[Host], Known] = _known,
    passed: Mapping[str, Mapping[Phase, str]] | None = None,
    limits: Limits = LIMITS,
) -> dict[str, Checked]:
    def run(host: Host, _request: Request, _allowance: Allowance, told: Told) -> Reply:
        return plays[host.name](told)

    targets = hosts or [Host(name, "10.0.0.1", user="ops") for name in plays]
    found = check(targets, run, known, limits, lambda _host: passed or {})
    by_name = {one.host.name: one for one in found}
    return {host.name: by_name[host.name] for host in targets}


def _one(play: Play, **more: object) -> Checked:
    return _check({"web01": play}, **more)["web01"]  # type: ignore[arg-type]


def _results(one: Checked) -> str:
    """The results of all steps, a sign each: `+` good, `!` failed, `w` a warning, `.` unknown."""
    signs = {"ok": "+", "FAIL": "!", "WARN": "w", "-": "."}
    return "".join(signs[step.result] for step in one.steps)


STEPS = {
    "all well": (_answers(_good()), "++++ ++++++", None),
    "no containers": (
        _answers(
            _answer(("kernel1", 0, "cgroup 2"), ("ps1", 0, ""), ("stats", 0, ""), ("ps2", 0, ""))
        ),
        "++++ ++++++",
        None,
    ),
    "an older forced command": (
        _answers(_answer(("ps1", 0, PS), ("stats", 0, ROW), ("ps2", 0, PS))),
        "++++ +++++w",
        None,
    ),
    "clock ahead": (_answers(_good(skew_s=60)), "++++ ++++w+", None),
    "clock behind": (_answers(_good(skew_s=-60)), "++++ ++++w+", None),
    "no name": (_fails(Status.DNS, Phase.RESOLVE, "no"), "!... ......", "resolve"),
    "refused": (
        _fails(Status.UNREACHABLE, Phase.CONNECT, "no", Phase.RESOLVE),
        "+!.. ......",
        "connect",
    ),
    "unknown key": (
        _fails(Status.HOST_KEY_UNKNOWN, Phase.HOST_KEY, "no", Phase.RESOLVE, Phase.CONNECT),
        "++!. ......",
        "host_key",
    ),
    "no login, and nothing told": (
        _fails(Status.AUTH_FAILED, Phase.LOGIN, "no key"),
        "+++! ......",
        "login",
    ),
    "nologin": (_answers(b"This account is not available.\n"), "++++ !.....", "probe"),
    "silent probe": (_answers(b"", ended=Ended.TIMEOUT), "++++ !.....", "probe"),
    "old probe": (_answers(_answer(version=9)), "++++ !.....", "probe"),
    "refused word": (_answers(_answer(("args", 64, ""))), "++++ !.....", "probe"),
    "no docker": (_answers(_answer(("tool", 127, ""))), "++++ +!..+.", "docker"),
    "denied": (_answers(_answer(("ps1", 1, "")), DENIED), "++++ ++!.+.", "permission"),
    "down": (_answers(_answer(("ps1", 1, "")), DOWN), "++++ ++.!+.", "daemon"),
    "frozen": (_answers(_answer(("ps1", 124, "")), run_s=10.0), "++++ ++.!+.", "daemon"),
    "stuck": (
        _answers(_answer(("ps1", 0, PS), ("stats", 124, "")), run_s=20.0),
        "++++ +++!+.",
        "daemon",
    ),
    "cut off": (
        _answers(_good()[:-60], ended=Ended.EXIT),
        "++++ +++++!",
        "figures",
    ),
    "not understood": (
        _answers(_answer(("ps1", 0, PS), ("stats", 0, "{}"), ("ps2", 0, PS))),
        "++++ +++.+!",
        "figures",
    ),
    "broken before it spoke": (
        _answers(b"", ended=Ended.LOST),
        "++++ !.....",
        "probe",
    ),
}


@pytest.mark.parametrize("name", STEPS)
def test_course_of_a_visit_becomes_steps(name):
    """What was told and what was answered: the first step that fails, and none good after it."""
    play, results, failing = STEPS[name]
    one = _one(play)
    assert [step.name for step in one.steps] == [*WAY, *NODE]
    assert _results(one) == results.replace(" ", ""), one.visit
    step = one.failed_step
    assert (step.name if step else None) == failing
    assert (one.advice is None) == (one.visit.status is Status.OK)
    if step:
        assert step.seen == one.visit.detail


def test_good_visit_tells_what_was_seen():
    """The whole text of one host, as it is read."""
    told = as_text([_one(_answers(_good()))], Shown())
    lines = [line.rpartition(" (")[0] or line for line in told.splitlines()]
    assert lines[0].startswith("web01  ok: 1 container, 0.")
    assert lines[1:] == [
        "  ok  name            10.0.0.1",
        "  ok  TCP             10.0.0.1 port 22",
        "  ok  host key        ssh-ed25519 SHA256:abc, by known_hosts:3",
        "  ok  login           as ops by ssh-ed25519 SHA256:def",
        "  ok  probe runs      format 2",
        "  ok  docker found    /usr/bin/docker",
        "  ok  docker allowed  docker ps answers",
        "  ok  daemon up       docker stats answers",
        "  ok  clock           as the central host's",
        "  ok  figures         1 container",
        "",
        "1 host, 0 failed",
    ]


def test_failed_visit_tells_what_to_do():
    """The step that fails has the detail; below stand the cause and its cures, filled in."""
    play = _fails(
        Status.HOST_KEY_UNKNOWN,
        Phase.HOST_KEY,
        "10.0.0.1 shows ssh-ed25519 SHA256:abc, and no key is known for it",
        *(Phase.RESOLVE, Phase.CONNECT),
    )
    lines = as_text([_one(play)], Shown()).splitlines()
    assert lines[0].startswith("web01  host_key_unknown, 0.")
    assert lines[3] == (
        "  FAIL  host key        10.0.0.1 shows ssh-ed25519 SHA256:abc, and no key is known for it"
    )
    assert lines[4] == "  -     login"
    assert lines[11].startswith("  host_key_unknown: No key is known for this address and port.")
    assert "        fleet trust web01 --from console.txt" in lines
    assert "        fleet trust web01 --accept-new" in lines


def test_clock_that_is_off_is_a_warning_and_no_failure():
    """It says by how much and to which side; the rows are not harmed by it."""
    one = _one(_answers(_good(skew_s=90)))
    assert not one.failed
    (step,) = (step for step in one.steps if step.name == "clock")
    assert step.seen.startswith(("89.", "90.", "91."))
    assert "ahead of the central host's" in step.seen
    (step,) = (s for s in _one(_answers(_good(skew_s=-90))).steps if s.name == "clock")
    assert "behind the central host's" in step.seen


def test_second_attempt_takes_the_place_of_the_first():
    """A retry tells `connect` again: the step stands once."""

    def play(told: Told) -> Reply:
        told(Phase.RESOLVE, "10.0.0.1")
        told(Phase.CONNECT, "first")
        told(Phase.CONNECT, "second")
        raise HostError(Status.UNREACHABLE, Phase.CONNECT, "ended before the login")

    one = _one(play)
    assert _results(one) == "+!........"


def test_bastions_are_steps_of_their_own():
    """Before the host's, with the bastion's name; its name is then resolved there."""
    seen = {phase: f"b1 {phase}" for phase in map(Phase, WAY)}

    def play(told: Told) -> Reply:
        for phase in (Phase.CONNECT, Phase.HOST_KEY, Phase.LOGIN):
            told(phase, "x")
        return Reply(0.1, RUN_S, 0, _told_now(_good()), b"", via="b1")

    one = _one(play, known=lambda host: _known(host, JUMP), passed={"b1": seen})
    assert _results(one) == "++++.+++++++++"
    assert [step.via for step in one.steps] == ["b1"] * 4 + [None] * 10
    text = as_text([one], Shown())
    assert "  ok  b1: login       b1 login\n" in text
    assert "  -   name            left to the bastion b1\n" in text
    assert ", by way of b1\n" in text


BASTIONS = {
    "cannot be reached": (Phase.CONNECT, "bastion b1: refused", [Phase.RESOLVE], "+!", "b1"),
    "shows an unknown key": (
        Phase.HOST_KEY,
        "bastion b1: x, and no key is known for it",
        [Phase.RESOLVE, Phase.CONNECT],
        "++!",
        "b1",
    ),
    "forbids forwarding": (
        Phase.CONNECT,
        "bastion b1: it forbids forwarding",
        list(map(Phase, WAY)),
        "++++.!",
        None,
    ),
}


@pytest.mark.parametrize("name", BASTIONS)
def test_bastion_that_fails_is_named(name):
    """The step that fails is the bastion's, or, where that was passed, the host's own."""
    phase, detail, seen, results, via = BASTIONS[name]
    one = _one(
        _fails(Status.JUMP_FAILED, phase, detail, via="b1"),
        known=lambda host: _known(host, JUMP),
        passed={"b1": dict.fromkeys(seen, "")},
    )
    assert _results(one) == results.ljust(14, ".")
    assert one.failed_step is not None
    assert one.failed_step.via == via
    assert one.words.via == "b1"


def test_bastion_that_keeps_a_host_waiting_is_where_it_fails():
    """A time-out before the bastion was passed is one of the bastion's steps."""
    one = _one(
        _fails(Status.TIMEOUT, Phase.CONNECT, "the bastion b1 was not reached in time", via="b1"),
        known=lambda host: _known(host, JUMP),
        passed={"b1": {Phase.RESOLVE: "10.9.9.9"}},
    )
    assert _results(one) == "+!............"


def test_host_with_bad_variables_is_not_visited():
    """Its reason is said, and no step; the others are visited."""
    bad = Host("bad", "bad", bad_config="i.yaml:3:9: ansible_port is 0")
    found = _check({"web01": _answers(_good())}, hosts=[bad, Host("web01", "10.0.0.1")])
    assert found["bad"].steps == ()
    text = as_text(list(found.values()), Shown())
    assert text.startswith("bad  bad_config: not visited: i.yaml:3:9: ansible_port is 0\n")
    assert "fleet hosts --host bad" in text
    assert not found["web01"].failed


def test_way_that_cannot_be_used_is_no_visit():
    """The OpenSSH configuration names no usable way: nothing was tried."""
    one = _one(_fails(Status.BAD_CONFIG, Phase.CONNECT, "port 'x' in the OpenSSH configuration"))
    assert one.steps == ()
    assert ": not visited: port 'x' in the" in as_text([one], Shown())


def test_central_host_itself_needs_no_way():
    """Nothing is resolved, connected to, or logged in to."""
    here = Host("here", "here", connection="local")
    one = _check({"here": lambda _told: Reply(0, RUN_S, 0, _told_now(_good()), b"")}, hosts=[here])[
        "here"
    ]
    assert _results(one) == "....++++++"
    assert not one.failed


def test_visit_that_does_not_come_back_fails_where_it_was():
    """What had been told by then is kept."""

    def play(told: Told) -> Reply:
        told(Phase.RESOLVE, "10.0.0.1")
        time.sleep(4)
        raise HostError(Status.TIMEOUT, Phase.CONNECT, "too late")

    one = _one(play, limits=Limits(2, 1, 20))
    assert one.visit.status is Status.TIMEOUT
    assert _results(one) == "+!........"


def test_host_whose_turn_never_came_is_skipped():
    """Its first step is the one that did not happen."""

    def slow(_told: Told) -> Reply:
        time.sleep(1.5)
        return Reply(0.1, RUN_S, 0, _told_now(_good()), b"")

    found = _check({"a": slow, "b": slow}, limits=Limits(1, 10, 1))
    assert found["b"].visit.status is Status.SKIPPED
    assert _results(found["b"]) == "!........."


def test_many_hosts_in_short():
    """Those that are well in one line, a line for each failure, and advice once for all alike."""
    refused = _fails(Status.UNREACHABLE, Phase.CONNECT, "10.0.0.1 port 22: Connection refused")
    plays = {f"web{number:02d}": _answers(_good()) for number in range(1, 6)}
    plays |= {"db1": refused, "db2": refused, "late": _answers(_good(skew_s=60))}
    plays["shut"] = _answers(_answer(("ps1", 1, "")), DENIED)
    lines = as_text(list(_check(plays).values()), Shown(steps=False)).splitlines()
    assert lines[:4] == [
        "ok 6: late,web[01-05]",
        "db1   unreachable    TCP: 10.0.0.1 port 22: Connection refused",
        "db2   unreachable    TCP: 10.0.0.1 port 22: Connection refused",
        f"shut  docker_denied  docker allowed: {DENIED.decode()}",
    ]
    (note,) = (line for line in lines if line.startswith("note: "))
    assert note.startswith("note: clock: ")
    assert note.endswith(" (late)")
    heads = [line for line in lines if line.startswith(("unreachable (", "docker_denied ("))]
    assert [head.partition(":")[0] for head in heads] == [
        "unreachable (db[1-2])",
        "docker_denied (shut)",
    ]
    assert "      usermod -aG docker ops" in lines
    assert lines[-1] == "9 hosts, 3 failed"


def test_host_in_maintenance_counts_in_nothing():
    """It is shown, and said to be so."""
    down = Host("down", "10.0.0.1", maintenance=True)
    play = _fails(Status.UNREACHABLE, Phase.CONNECT, "no")
    found = list(_check({"down": play}, hosts=[down]).values())
    text = as_text(found, Shown())
    assert text.startswith("down  unreachable (maintenance), 0.")
    assert text.endswith("\n1 host, 0 failed, 1 down for maintenance\n")


def test_verbose_shows_settings_and_notes_stand_always():
    """Each setting with its origin; what is read and not obeyed is no matter of taste."""
    settings = (
        Setting("address", "10.0.0.1", "i.yaml:3:9 ansible_host"),
        Setting("port", "22", "default"),
    )
    one = _one(
        _answers(_good()),
        known=lambda host: _known(host, settings=settings, notes=("read, and not obeyed: -C",)),
    )
    text = as_text([one], Shown(settings=True))
    assert "\n  note: read, and not obeyed: -C\n" in text
    assert "\n  setting  value     from\n  address  10.0.0.1  i.yaml:3:9 ansible_host\n" in text
    assert "setting" not in as_text([one], Shown())
    assert "note: read, and not obeyed: -C (web01)" in as_text([one], Shown(steps=False))


def test_settings_of_the_openssh_configuration_fill_what_is_left_open(tmp_path):
    """Its words take the place of `not said`; what it says and we do not follow is a note."""
    config = tmp_path / "config"
    config.write_text("Host 10.*\n  Port 2200\n  User jo\n  VerifyHostKeyDNS yes\n")
    said = (
        Setting("port", "not said", "default"),
        Setting("user", "ops", "i.yaml:4:9 ansible_user"),
        Setting("ignored", "-C", "i.yaml:5:9 ansible_ssh_args"),
    )
    host = Host("web01", "10.0.0.1", user="ops")
    inventory = Inventory((host,), {}, explainer=lambda _host: said)
    known = known_by(inventory, Routes(str(config)))(host)
    assert known.way == (Hop("web01", "10.0.0.1", 2200, "ops"),)
    assert known.settings == (Setting("port", "2200", f"{config} port"), said[1])
    first, second = known.notes
    assert first == "read, and not obeyed: -C (i.yaml:5:9 ansible_ssh_args)"
    assert second.startswith("in the OpenSSH configuration, and not followed: verifyhost")


def test_way_that_cannot_be_told_is_left_to_the_visit():
    """An unknown way is no error here: the visit has it as its own."""
    host = Host("web01", "10.0.0.1", port=2222, jumps=(Host("b", "b", proxy_command="%z"),))
    known = known_by(Inventory((host,), {}), Routes("none"))(host)
    assert known.way[-1][:3] == ("web01", "10.0.0.1", 2222)


def test_json_has_every_step():
    """One object; results are words, and what is not known is null."""
    found = _check({"web01": _answers(_good()), "web02": _fails(Status.DNS, Phase.RESOLVE, "no")})
    good, bad = json.loads(as_json(list(found.values())))["hosts"]
    assert (good["host"], good["status"], good["advice"]) == ("web01", "ok", None)
    assert (good["address"], good["port"], good["user"]) == ("10.0.0.1", 22, "ops")
    assert [step["step"] for step in good["steps"]] == [*WAY, *NODE]
    assert {step["result"] for step in good["steps"]} == {"ok"}
    assert (bad["status"], bad["phase"], bad["detail"]) == ("dns", "resolve", "no")
    assert bad["steps"][0]["result"] == "failed"
    assert bad["steps"][1] == {
        "step": "connect",
        "result": "unknown",
        "seen": None,
        "via": None,
        "elapsed": None,
    }
    cures = bad["advice"]["causes"][0]["cures"]
    assert "getent hosts 10.0.0.1" in [cure["command"] for cure in cures]


def test_what_a_node_says_is_safe_to_print():
    """Escapes in its words are spelled out, wherever they are shown."""
    tool = ("tool", 0, "/usr/bin/\x1b[31mdocker\n")
    play = _answers(_answer(tool, ("ps1", 1, "")), b"\x1b]0;owned\x07 Cannot connect")

    def told_play(told: Told) -> Reply:
        told(Phase.RESOLVE, "\x1b[2J")
        return play(told)

    found = [_one(told_play)]
    for text in (as_text(found, Shown()), as_text(found, Shown(steps=False)), as_json(found)):
        assert text.replace("\n", "").isprintable()
