"""The probe's text, its request, and the cutting of answers."""

import hashlib
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet import probe
from fleet.inventory import Host
from fleet.sources.state import INSPECT_FORMAT, VERSION_FORMAT
from tests.lab.waiting import poll

HOST = Host("web1", "127.0.0.1")
GOLDEN = Path(__file__).with_name("probes")
WHOLE = b"""Last login: never
@fleet 2 B host
uptime 12.34
cpus 2

@fleet 2 E host 0

@fleet 2 B tool
/usr/bin/docker

@fleet 2 E tool 0

@fleet 2 B stats
{"a":1}

@fleet 2 E stats 0

@fleet 2 END
"""

STAND_IN = """#!/bin/sh
printf '%s|' "$@" >&2
case $1 in
ps) echo "[\\"$(printf %064d 1)\\",\\"n\\",\\"i\\",\\"running\\"]" ;;
inspect) echo '["state"]' ;;
version) echo '"28.2.2"' ;;
stats) echo '{"ID":"0"}' ;;
esac
"""


def _docker(folder: Path, text: str = STAND_IN) -> str:
    """A stand-in for the CLI, by its path."""
    tool = folder / "docker"
    tool.write_text(text)
    tool.chmod(0o755)
    return str(tool)


def _request(tool: str, seconds: float = 20, become: bool = False) -> str:
    return probe.request(Host("h", "h", runtime_path=tool, become=become), seconds)


@pytest.mark.parametrize(
    ("version", "digest"),
    [
        (1, "b4fcf11bdbf20da4812fdbb4a5a153a102c21bccc120d71a280c1efe52319e9a"),
        (2, "60987bb56eb9d49e957e1fce03baf158719bfb71d3743bc1bd9e869d67a249d1"),
    ],
)
def test_wire_formats_are_frozen(version, digest):
    """The constant text stands in authorized_keys of nodes: changing it needs a new version."""
    golden = (GOLDEN / f"v{version}.txt").read_text().rstrip("\n")
    assert hashlib.sha256(golden.encode()).hexdigest() == digest
    if version == probe.VERSION:
        assert golden == probe.COMMAND


def test_last_two_formats_are_read():
    """Those whose texts stand here are those that are read."""
    assert probe.READABLE_VERSIONS == (probe.VERSION - 1, probe.VERSION)
    kept = sorted(int(file.stem[1:]) for file in GOLDEN.glob("v*.txt"))
    assert tuple(kept[-2:]) == probe.READABLE_VERSIONS


@pytest.mark.parametrize("character", ["!", "\\", "\n", "\r", "`", "\t"])
def test_text_holds_nothing_that_shells_read_differently(character):
    """Between the single quotes stands nothing that csh, fish or a forced command would touch."""
    assert character not in probe.COMMAND


def test_text_has_just_its_three_quoted_strings():
    """Only the text and the formats of ps and inspect are quoted: six single quotes in all."""
    assert probe.COMMAND.count("'") == 6
    assert probe.COMMAND.isascii()


@pytest.mark.parametrize(
    ("seconds", "word"), [(0.2, "t=1"), (28.9, "t=28"), (5000, "t=999"), (-3, "t=1")]
)
def test_request_says_how_long_the_node_has(seconds, word):
    """Seconds travel as a whole number from 1 to 999."""
    assert probe.request(HOST, seconds).endswith(f"become=0 {word}")


def test_request_carries_sudo_and_path():
    """What the inventory says of the runtime travels as words."""
    host = Host("h", "h", become=True, runtime_path="/opt/docker/bin/docker")
    assert probe.request(host, 9).endswith(
        "' -- runtime=docker sections=host,node,kernel,ps,state,stats source=docker window=1 "
        "become=1 t=9 path=/opt/docker/bin/docker"
    )


@pytest.mark.parametrize(("window_s", "word"), [(0, 0), (3, 3), (10, 9), (-1, 0)])
def test_request_carries_source_and_window(window_s, word):
    """Seconds between two readings travel as one digit."""
    text = probe.request(Host("h", "h", source="kernel"), 9, window_s)
    assert f" source=kernel window={word} " in text


@pytest.mark.parametrize(
    "shell", [["dash"], ["bash"], ["busybox", "sh"], ["zsh"], ["fish"], ["tcsh"]], ids=" ".join
)
def test_probe_runs_under_every_login_shell(shell, tmp_path):
    """sshd hands the request to the login shell: six of them pass the text on unharmed."""
    run = subprocess.run(
        [*shell, "-c", _request(_docker(tmp_path))],
        capture_output=True,
        timeout=30,
        check=True,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
    )
    answer = probe.cut(run.stdout)
    assert answer.whole
    assert {name: section.rc for name, section in answer.sections.items()} == dict.fromkeys(
        (
            *("host", "node", "kernel1", "tool", "ps1", "state", "version", "stats", "clock"),
            *("kernel2", "ps2"),
        ),
        0,
    )
    id = "1".zfill(64)
    assert answer.lines("ps1") == answer.lines("ps2") == (f'["{id}","n","i","running"]',)
    assert answer.lines("state") == ('["state"]',)
    assert answer.lines("version") == ('"28.2.2"',)
    assert answer.lines("stats") == ('{"ID":"0"}',)
    uptime, clock, cpus = answer.lines("host")
    assert re.fullmatch(r"uptime \d+\.\d+", uptime)
    assert abs(int(clock.removeprefix("clock ")) - time.time()) < 30
    assert cpus == f"cpus {os.cpu_count()}"
    asked = run.stderr.decode()
    assert asked.count(f"ps|--no-trunc|--format|{probe.PS_FORMAT}|") == 2
    assert asked.count(f"ps|--no-trunc|--format|{probe.PS_FORMAT}|-a|") == 1
    assert f"inspect|--type|container|--format|{INSPECT_FORMAT}|--|{id}|" in asked
    assert f"version|--format|{VERSION_FORMAT}|" in asked
    assert "stats|--no-stream|--no-trunc|--format|{{json .}}|" in asked


def test_environment_of_the_login_cannot_point_docker_elsewhere(tmp_path):
    """DOCKER_HOST and its kin are unset, LC_ALL is C, and the path is wide."""
    tool = _docker(
        tmp_path,
        '#!/bin/sh\necho "$DOCKER_HOST,$DOCKER_CONTEXT,$DOCKER_API_VERSION,$LC_ALL,$PATH"\n',
    )
    run = subprocess.run(
        ["/bin/sh", "-c", _request(tool)],
        capture_output=True,
        timeout=30,
        check=True,
        env={"PATH": "/bin", "DOCKER_HOST": "tcp://x", "DOCKER_CONTEXT": "y", "LC_ALL": "de_DE"}
        | {"DOCKER_API_VERSION": "1.1"},
    )
    line = probe.cut(run.stdout).lines("stats")[0]
    assert line.startswith(",,,C,/bin:/usr/local/sbin:")


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_node_without_date_has_no_clock(shell, tmp_path):
    """Without date(1), or with one that fails, the line is missing, and all else is as ever."""
    tool, empty = _docker(tmp_path), tmp_path / "bin"
    empty.mkdir()
    for name in (shell, "grep", "tr", "timeout"):
        (empty / name).symlink_to(shutil.which(name))
    (empty / "sh").symlink_to(shell)
    # busybox has a date of its own that its shell finds before any on the PATH.
    text = _request(tool).replace("date +%s", "no-date +%s" if shell == "busybox" else "date +%s")
    for place in ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"):
        text = text.replace(f":{place}", "")
    for failing in (False, True):
        if failing and shell != "busybox":
            (empty / "date").write_text("#!/bin/sh\nexit 1\n")
            (empty / "date").chmod(0o755)
        run = subprocess.run(
            [empty / "sh", "-c", text],
            capture_output=True,
            timeout=30,
            check=True,
            env={"PATH": str(empty)},
        )
        answer = probe.cut(run.stdout)
        assert answer.whole
        assert [line.split()[0] for line in answer.lines("host")] == ["uptime", "cpus"]
        assert b"date" not in run.stderr


@pytest.mark.parametrize(("seconds", "words"), [(8, "-k 2 00[1-7]"), (90, "-k 2 010")])
def test_timeout_has_three_digits(seconds, words, tmp_path):
    """sudoers can say three digits, but not any number of them."""
    (tmp_path / "bin").mkdir()
    timeout = tmp_path / "bin/timeout"
    timeout.write_text('#!/bin/sh\necho "$*" >&2; exec /usr/bin/timeout "$@"\n')
    timeout.chmod(0o755)
    run = subprocess.run(
        ["sh", "-c", _request(_docker(tmp_path), seconds)],
        capture_output=True,
        timeout=30,
        check=True,
        env={"PATH": f"{timeout.parent}:{os.environ['PATH']}"},
    )
    asked = run.stderr.decode()
    assert probe.cut(run.stdout).rc("stats") == 0
    assert re.search(rf"{words} \S+/docker ps ", asked), asked
    assert re.search(r"-k 2 \d{3} \S+/docker stats ", asked), asked


def test_missing_cli_is_told_apart_from_a_failing_one(tmp_path):
    """RC 127 of the tool section means that there is nothing to run; the answer is whole."""
    run = subprocess.run(
        ["sh", "-c", _request(str(tmp_path / "none"))], capture_output=True, timeout=30, check=True
    )
    answer = probe.cut(run.stdout)
    assert (answer.whole, answer.rc("tool"), answer.rc("ps1")) == (True, probe.NOT_FOUND, None)


@pytest.mark.parametrize(
    "words",
    [
        "runtime=podman",
        "become=2",
        "t=0",
        "t=1000",
        "t=5;id",
        "path=/bin/sh;id",
        "path=$(id)",
        "path=a\\057b",
        "id",
        "-x",
        "source=podman",
        "window=10",
        "window=",
    ],
)
def test_probe_refuses_a_word_it_must_not_follow(words):
    """A word is checked on the node; a refused one runs nothing and is said."""
    run = subprocess.run(
        ["sh", "-c", f"{probe.COMMAND} -- '{words}'"], capture_output=True, timeout=30, check=True
    )
    answer = probe.cut(run.stdout)
    assert answer.whole
    assert dict(answer.sections) == {"args": probe.Section((), probe.REFUSED)}


def test_probe_passes_over_the_words_of_later_versions(tmp_path):
    """An old text under a forced command keeps answering a newer fleet."""
    request = _request(_docker(tmp_path)) + " window=5 sections=host,cgroup,stats"
    run = subprocess.run(["sh", "-c", request], capture_output=True, timeout=30, check=True)
    answer = probe.cut(run.stdout)
    assert answer.whole
    assert list(answer.sections) == ["host", "tool", "stats", "clock"]


@pytest.mark.parametrize(
    ("asked", "sections"),
    [
        ("", ["host", "node", "kernel1", "tool"]),
        ("@request", ["host", "node", "kernel1", "tool"]),
        ("exec sh -c x -- runtime=docker sections=stats t=3", ["tool"]),
        ("id", ["args"]),
        ("id; -- rm -rf /", ["args"]),
        ("x -- path=/bin/echo", ["args"]),
        ("x -- *", ["args"]),
        ("x -- t=*", ["args"]),
    ],
)
def test_forced_command_takes_its_words_from_what_was_asked(asked, sections, tmp_path):
    """As command= in authorized_keys the text runs itself, whatever the client sends."""
    asked = probe.request(HOST, 9) if asked == "@request" else asked
    (tmp_path / "docker").mkdir()  # no CLI to be found: `tool` ends it
    (tmp_path / "t=5").touch()  # what an unquoted * or t=* would become
    run = subprocess.run(
        [
            "/bin/sh",
            "-c",
            probe.COMMAND.replace("PATH=${PATH:-/usr/bin}:", "PATH=/nowhere ;: ").replace(
                "PATH=$PATH:", ": "
            ),
        ],
        capture_output=True,
        timeout=30,
        check=False,
        env={"SSH_ORIGINAL_COMMAND": asked, "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
    )
    answer = probe.cut(run.stdout)
    assert list(answer.sections)[: len(sections)] == sections


def _left(mark: str) -> list[str]:
    """The processes whose environment carries a mark: whatever a probe started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if f"FLEET_TEST={mark}".encode() in environment.split(b"\0"):
                found.append(entry.name)
    return found


def _run_marked(text: str) -> tuple[probe.Answer, str]:
    """Run a request → its answer, and the mark that all its processes carry."""
    mark = str(time.time_ns())
    env = {**os.environ, "FLEET_TEST": mark}
    run = subprocess.run(["sh", "-c", text], capture_output=True, timeout=60, check=True, env=env)
    return probe.cut(run.stdout), mark


@pytest.mark.parametrize("shell", [["dash"], ["bash"], ["busybox", "sh"]], ids=" ".join)
@pytest.mark.parametrize("with_timeout", [True, False], ids=["timeout", "watchdog"])
def test_hanging_tool_is_ended_on_the_node(shell, with_timeout, tmp_path):
    """By timeout(1), and by the text's own watchdog where there is none: nothing stays behind."""
    tool = _docker(tmp_path, "#!/bin/sh\nexec sleep 1000000\n")
    text = _request(tool, 3).replace("exec sh -c", f"exec {' '.join(shell)} -c")
    if not with_timeout:
        text = text.replace("if timeout -k 1 1 true", "if false")
    started = time.monotonic()
    answer, mark = _run_marked(text)
    assert answer.whole
    assert answer.rc("ps1") in probe.CLOCK_ENDED
    assert list(answer.sections) == [
        *("host", "node", "kernel1", "tool", "ps1", "clock", "kernel2")
    ], "a hanging daemon is not asked twice"
    assert time.monotonic() - started < 15
    poll(lambda: _left(mark) == [], 5, "end of all that the probe started")


STUBBORN = "#!/bin/sh\ntrap : TERM\nwhile :; do sleep 1; done\n"
WRAPPING = "#!/bin/sh\nsleep 1000000\n"


@pytest.mark.parametrize("tool", [STUBBORN, WRAPPING], ids=["ignores TERM", "has a child"])
@pytest.mark.parametrize("with_timeout", [True, False], ids=["timeout", "watchdog"])
def test_tool_that_will_not_end_is_killed(tool, with_timeout, tmp_path):
    """A script called docker takes its child with it, and TERM that is ignored becomes KILL."""
    text = _request(_docker(tmp_path, tool), 3)
    if not with_timeout:
        text = text.replace("if timeout -k 1 1 true", "if false")
    answer, mark = _run_marked(text)
    assert answer.whole
    assert answer.rc("ps1") in probe.CLOCK_ENDED
    poll(lambda: _left(mark) == [], 5, "end of all that the probe started")


def test_daemon_that_hangs_on_ps_is_given_up_before_the_visit_ends(tmp_path):
    """`docker ps` has ten seconds, however long the visit may take."""
    started = time.monotonic()
    answer, _mark = _run_marked(_request(_docker(tmp_path, WRAPPING), 300))
    assert answer.rc("ps1") in probe.CLOCK_ENDED
    assert 9 < time.monotonic() - started < 30


@pytest.mark.parametrize("shell", [["dash"], ["bash"], ["busybox", "sh"]], ids=" ".join)
def test_watchdog_leaves_quick_tools_and_their_status_alone(shell, tmp_path):
    """Without timeout(1) a tool's own exit status arrives, and the watchdog goes with it."""
    tool = _docker(tmp_path, "#!/bin/sh\nexit 3\n")
    text = _request(tool, 777).replace("exec sh -c", f"exec {' '.join(shell)} -c")
    text = text.replace("if timeout -k 1 1 true", "if false")
    runs = [_run_marked(text) for _ in range(20)]  # to call it off at many moments of its life
    for answer, mark in runs:
        assert [answer.rc(name) for name in ("ps1", "stats", "ps2")] == [3, 3, 3]
        poll(lambda mark=mark: _left(mark) == [], 5, "end of all that the probe started")


def test_cut_reads_a_whole_answer():
    """Noise before the first marker is kept apart, blank lines mean nothing."""
    answer = probe.cut(WHOLE)
    assert answer.version == 2
    assert answer.whole
    assert answer.noise == "Last login: never"
    assert answer.lines("host") == ("uptime 12.34", "cpus 2")
    assert answer.sections["stats"] == probe.Section(('{"a":1}',), 0)


def test_cut_reads_carriage_returns():
    """A terminal in between would end lines with CR LF."""
    assert probe.cut(WHOLE.replace(b"\n", b"\r\n")).sections == probe.cut(WHOLE).sections


def test_answer_without_its_end_is_not_whole():
    """A missing END is a truncated answer, wherever it was cut."""
    for end in range(len(WHOLE) - 2):
        assert not probe.cut(WHOLE[:end]).whole


@pytest.mark.parametrize(
    "forged",
    [
        b"@fleet 2 B host\n",
        b"@fleet 2 E tool 0\n",
        b"@fleet 2 END\n",
        b"@fleet 1 E stats 0\n",
    ],
)
def test_marker_out_of_order_ends_the_reading(forged):
    """A marker inside a section is somebody's forgery: what came before counts, no more."""
    answer = probe.cut(WHOLE.replace(b'{"a":1}\n', b'{"a":1}\n' + forged))
    assert not answer.whole
    assert answer.sections["stats"] == probe.Section(('{"a":1}',), None)


@pytest.mark.parametrize(
    "line", [b"@fleet 2 B", b"@fleet x B host", b" @fleet 2 END", b"@fleet 2 E stats x", b"@fleet"]
)
def test_line_that_only_looks_like_a_marker_is_a_line(line):
    """Markers are exact; anything else belongs to the section it stands in."""
    answer = probe.cut(WHOLE.replace(b'{"a":1}', line))
    assert answer.whole
    assert answer.lines("stats") == (line.decode(),)


def test_version_is_read_from_the_first_marker():
    """An answer in another format says which."""
    assert probe.cut(WHOLE.replace(b"@fleet 2 ", b"@fleet 7 ")).version == 7
    assert probe.cut(b"nothing here\n").version is None


@given(st.binary(max_size=2000))
def test_cut_takes_anything(data):
    """No bytes make it raise."""
    probe.cut(data)


@given(
    st.lists(
        st.sampled_from(
            [
                *(line + b"\n" for line in WHOLE.split(b"\n")),
                b"@fleet 2 B ps1\n",
                b"@fleet 2 E ps1 1\n",
            ]
        ),
        max_size=40,
    )
)
def test_cut_takes_any_order_of_markers(lines):
    """Sections never hold a marker, and a whole answer has every section closed."""
    answer = probe.cut(b"".join(lines))
    for section in answer.sections.values():
        assert not any(line.startswith("@fleet 2 ") for line in section.lines)
        assert section.rc is not None or not answer.whole


def test_flood_of_lines_is_cut_where_it_costs_little():
    """Millions of tiny lines are not made millions of strings."""
    flood = WHOLE.replace(b'{"a":1}\n', b"y\n" * 2_000_000)
    answer = probe.cut(flood)
    assert not answer.whole
    assert 0 < len(answer.lines("stats")) < probe.MAX_LINES
