"""The units and the crontab line: what they say, and that systemd, cron and sh understand it."""

import re
import subprocess
import sys
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from fleet.errors import UsageError
from fleet.settings import FILES_BESIDES, FILES_PER_VISIT, FORKS_MAX
from fleet.units import _KEPT, Interval, Units
from tests.command import fleet

PROJECT = Path(__file__).parent.parent
SCHEDULING = (PROJECT / "docs/scheduling.md").read_text()

STATUSES = ("1", "2", "3", "4", "5", "6", "7", "130", "143")
ODD = "/etc/a b%c%%d$e${HOME}\"f'g; #é"
ODD_PROGRAM = "a b%c%%d$e${HOME}; #é"
EVERY = [str(Interval(seconds)) for seconds in _KEPT]


def analyze(*words: str | Path, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Run `systemd-analyze WORDS`; one that is missing is an error."""
    argv = ["systemd-analyze", "--no-pager", *map(str, words)]
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", **environ}
    return subprocess.run(
        argv,
        check=False,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )


def complaints(folder: Path, units: Units, drop_in: str = "") -> str:
    """What `systemd-analyze verify` has against these units; nothing when they are clean."""
    paths = [folder / f"{units.unit}.service", folder / f"{units.unit}.timer"]
    paths[0].write_text(units.service())
    paths[1].write_text(units.timer())
    if drop_in:
        added = folder / f"{units.unit}.service.d" / "ours.conf"
        added.parent.mkdir()
        added.write_text(drop_in)
    done = analyze("verify", "--man=no", *paths)
    return done.stdout or ("" if done.returncode == 0 else f"exit status {done.returncode}")


def cron_minutes(fields: str) -> list[int]:
    """The minutes of a day on which crontab(5)'s five fields start something."""
    minute, hour, *rest = fields.split()
    assert rest == ["*", "*", "*"]

    def means(field: str, size: int) -> range:
        if field.startswith("*"):
            return range(0, size, int(field.removeprefix("*").removeprefix("/") or 1))
        return range(int(field), int(field) + 1)

    return [60 * h + m for h in means(hour, 24) for m in means(minute, 60)]


def test_files_are_the_default_texts():
    """deploy/systemd/ holds what `fleet units` prints without options."""
    folder = PROJECT / "deploy/systemd"
    assert (folder / "fleet-collect.service").read_text() == Units().service()
    assert (folder / "fleet-collect.timer").read_text() == Units().timer()
    assert {path.stem for path in folder.iterdir()} == {Units().unit}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("10 sec", 10),
        ("60s", 60),
        ("1min", 60),
        ("5min", 300),
        (" 10 min ", 600),
        ("15m", 900),
        ("60 minutes", 3600),
        ("1h", 3600),
        ("2 hours", 7200),
        ("24h", 86_400),
        ("1d", 86_400),
    ],
)
def test_intervals_are_read(text, seconds):
    """A number and a unit, in the words that systemd has for them."""
    assert Interval.parse(text) == Interval(seconds)


@pytest.mark.parametrize("text", EVERY)
def test_intervals_are_read_as_they_are_written(text):
    """What an interval is called in a text is what --interval takes."""
    assert str(Interval.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("7min", "'7min' does not go evenly into a minute, an hour or a day: "
                 "the nearest that do are 6min and 10min"),
        ("90s", "nearest that do are 1min and 2min"),
        ("45min", "nearest that do are 30min and 1h"),
        ("5h", "nearest that do are 4h and 6h"),
        ("18h", "nearest that do are 12h and 1d"),
        ("5s", "'5s' is too short for a sweep: the shortest is 10s"),
        ("0min", "the shortest is 10s"),
        ("2d", "'2d' is too long: the longest is 1d"),
        ("5", "expected a number and a unit, as 30s, 5min, 2h or 1d, not '5'"),
        ("", "not ''"),
        ("5M", "not '5M'"),
        ("-5min", "not '-5min'"),
        ("1.5h", "not '1.5h'"),
        ("1h 30min", "not '1h 30min'"),
        ("\u0665min", "not '\u0665min'"),
        ("5min\nUser=root", "not '5min\\nUser=root'"),
    ],
)  # fmt: skip
def test_intervals_that_no_clock_keeps(text, said):
    """An error names the value, and the nearest that work."""
    with pytest.raises(UsageError) as caught:
        Interval.parse(text)
    assert str(caught.value).startswith("--interval: ")
    assert said in str(caught.value)


def test_five_minutes_start_at_the_full_hour():
    """Every five minutes, as systemd and cron say it."""
    assert Interval.parse("5min").calendar == "*:0/5 UTC"
    assert Interval.parse("5min").cron == "*/5 * * * *"


@pytest.mark.parametrize("text", EVERY)
def test_cron_has_no_gap(text):
    """cron's fields are the interval apart, over midnight as well; it has no seconds."""
    interval = Interval.parse(text)
    if interval.seconds < 60:
        assert interval.cron is None
        return
    assert interval.cron
    minutes = cron_minutes(interval.cron)
    following = [*minutes[1:], minutes[0] + 24 * 60]
    assert {b - a for a, b in zip(minutes, following, strict=True)} == {interval.seconds // 60}
    assert minutes[0] == 0


@pytest.mark.e2e
@pytest.mark.parametrize("text", EVERY)
def test_systemd_has_no_gap(text):
    """OnCalendar= elapses every interval, over midnight, and when summer time comes and goes."""
    interval = Interval.parse(text)
    count = int(timedelta(hours=26).total_seconds()) // interval.seconds + 2
    for day in ("2026-03-28", "2026-10-24"):
        done = analyze(
            "calendar",
            f"--base-time={day} 21:00:00 UTC",
            f"--iterations={count}",
            interval.calendar,
            TZ="Europe/Berlin",
        )
        assert done.returncode == 0, done.stdout
        found = re.findall(r"\(in UTC\): \w+ (\d+-\d+-\d+ \d+:\d+:\d+) UTC", done.stdout)
        elapses = [datetime.fromisoformat(f"{time}+00:00") for time in found]
        assert len(elapses) == count
        apart = {(b - a).total_seconds() for a, b in pairwise(elapses)}
        assert apart == {interval.seconds}
        assert any((time.hour, time.minute, time.second) == (0, 0, 0) for time in elapses)


@pytest.mark.e2e
@pytest.mark.parametrize(
    "units",
    [
        Units(program=sys.executable),
        Units(Interval(30), sys.executable, name="eu-west_1.a"),
        Units(Interval(86_400), sys.executable, name="N" * 64),
        Units(program=sys.executable, name="a..b"),
        Units(
            program=sys.executable,
            inventory=ODD,
            private_key=ODD,
            known_hosts=ODD,
            questdb_file=ODD,
        ),
    ],
    ids=["default", "named", "long", "dots", "odd"],
)
def test_systemd_verifies_the_units(tmp_path, units):
    """`systemd-analyze verify` has not one word to say."""
    assert complaints(tmp_path, units) == ""


@pytest.mark.e2e
def test_systemd_finds_an_odd_program(tmp_path):
    """The quoting of the program's own path leads to that program."""
    program = tmp_path / ODD_PROGRAM
    assert "is not executable" in complaints(tmp_path, Units(program=str(program)))
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert complaints(tmp_path, Units(program=str(program))) == ""


@pytest.mark.e2e
def test_systemd_would_say_what_is_wrong(tmp_path):
    """What verifies the units sees a setting that systemd does not have, in a drop-in as well."""
    said = complaints(tmp_path, Units(program=sys.executable), "[Service]\nProtectSytem=strict\n")
    assert "ProtectSytem" in said


@pytest.mark.e2e
@pytest.mark.parametrize("name", ["fleet", "eu"])
def test_sandbox_is_tight(tmp_path, name):
    """`systemd-analyze security` finds an exposure of 2.0 at most."""
    path = tmp_path / "fleet-collect.service"
    path.write_text(Units(name=name).service())
    done = analyze("security", "--offline=true", "--threshold=20", path)
    assert done.returncode == 0, done.stdout
    exposure = re.search(r"Overall exposure level for [\w.-]+: ([0-9.]+)", done.stdout)
    assert exposure, done.stdout
    assert float(exposure[1]) <= 2.0


def test_command_line_survives_systemd():
    """systemd's quoting, specifiers and variables leave the arguments as they were."""
    text = Units(program=f"/opt/{ODD_PROGRAM}", inventory=ODD, private_key=ODD).service()
    assert 'ExecStart="/opt/a b%%c%%%%d$e${HOME}; #é" collect \\\n' in text
    assert '    --inventory "/etc/a b%%c%%%%d$$e$${HOME}\\"f\'g; #é" \\\n' in text
    assert "LoadCredential=private-key:/etc/a b%%c%%%%d$e${HOME}\"f'g; #é\n" in text
    assert "    --known-hosts /etc/fleet/known_hosts \\\n" in text


def test_crontab_survives_cron_and_sh(tmp_path):
    """What cron and then sh make of the line are the arguments as they were."""
    program = tmp_path / ODD_PROGRAM
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    line = Units(program=str(program), inventory=ODD, questdb_file=ODD, name="eu").crontab()
    assert line
    command = line.removeprefix("*/5 * * * *  ")
    assert not re.search(r"(?<!\\)%", command)  # cron ends the command there
    done = subprocess.run(
        ["sh", "-c", command.replace("\\%", "%")], check=True, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == [
        *("collect", "-i", ODD, "--private-key", "/etc/fleet/id_ed25519"),
        *("--known-hosts", "/etc/fleet/known_hosts", "--questdb-file", ODD, "--name", "eu"),
    ]


@pytest.mark.parametrize(
    ("filled", "said"),
    [
        ({"inventory": "inventory.yaml"}, "-i: expected an absolute path, not 'inventory.yaml'"),
        ({"private_key": ""}, "--private-key: expected an absolute path"),
        ({"known_hosts": "/a\nUser=root"}, "--known-hosts: '/a\\nUser=root' cannot stand"),
        ({"questdb_file": "/a\\"}, "--questdb-file: '/a\\\\' cannot stand in a unit"),
        ({"questdb_file": "/a "}, "no space at the end"),
        ({"inventory": "/\udcff"}, "-i: '/\\udcff' cannot stand in a unit"),
        ({"program": '/opt/"fleet"'}, 'no program with a quote in its name, not /opt/"fleet"'),
        ({"name": "a b"}, "--name: expected 1 to 64 letters"),
        ({"name": "x\nUser=root"}, "--name: expected 1 to 64 letters"),
    ],
)
def test_what_no_unit_can_hold(filled, said):
    """A value that would break a unit or a crontab is an error, not a broken unit."""
    with pytest.raises(UsageError) as caught:
        Units(**filled)
    assert said in str(caught.value)


def test_another_job_shares_nothing():
    """A name goes into the command, the names of the units and the state directory."""
    one, other = Units(), Units(name="eu")
    assert (one.unit, other.unit) == ("fleet-collect", "fleet-collect-eu")
    assert "--name" not in one.service()
    assert "StateDirectory=fleet\n" in one.service()
    assert " \\\n    --name eu\n" in other.service()
    assert "StateDirectory=fleet-eu\n" in other.service()
    assert "/etc/systemd/system/fleet-collect-eu.timer" in other.printed()
    assert "enable --now fleet-collect-eu.timer" in other.printed()


def test_open_files_carry_as_many_forks_as_there_may_be():
    """The hard limit is what the greatest --forks needs."""
    wanted = FILES_PER_VISIT * FORKS_MAX + FILES_BESIDES
    assert f"\nLimitNOFILE=1024:{wanted}\n" in Units().service()


def test_files_that_the_sandbox_hides_are_named():
    """A file in a home directory is said; a credential there is none of the service's business."""
    assert Units().hidden == ()
    assert Units(private_key="/home/ops/key", questdb_file="/tmp/q").hidden == ()
    (said,) = Units(inventory="/home/ops/inventory.yaml").hidden
    assert said.startswith("/home/ops/inventory.yaml: the service sees nothing of /home: ")
    assert len(Units(program="/run/user/0/fleet", known_hosts="/var/tmp/k").hidden) == 2
    assert Units(inventory="/homes/inventory.yaml").hidden == ()


@pytest.mark.parametrize("status", STATUSES)
def test_every_exit_status_is_explained(status):
    """The unit and the page of scheduling say what a status means, and agree on what is well."""
    text = Units().service()
    well = re.search(r"^SuccessExitStatus=(.*)$", text, re.MULTILINE)
    assert well
    assert re.search(rf"^#   {status} +[a-zA-Z]", text, re.MULTILINE)
    row = re.search(rf"^\| {status} \|[^|]+\| (\w+) \|", SCHEDULING, re.MULTILINE)
    assert row
    assert (row[1] == "well") == (status in well[1].split())


def test_printed_is_split_by_the_command_that_is_shown(tmp_path):
    """The page's awk writes both units as they are, and nothing else."""
    (program,) = re.findall(r"^\$ fleet units \| awk '(.*)'$", SCHEDULING, re.MULTILINE)
    printed = Units(name="eu").printed().replace("# /etc/systemd/system/", f"# /etc/{tmp_path}/")
    program = program.replace("to = $2", 'to = $2; sub("^/etc/", "", to)')
    subprocess.run(["awk", program], check=True, input=printed, text=True)
    written = {path.name: path.read_text().rstrip() + "\n" for path in tmp_path.iterdir()}
    assert written == {
        "fleet-collect-eu.service": Units(name="eu").service(),
        "fleet-collect-eu.timer": Units(name="eu").timer(),
    }


def test_printed_ends_with_what_to_do():
    """The commands, and cron's line or why there is none, are comments."""
    end = Units().printed().partition("# Then, as root:\n")[2].splitlines()
    assert end == [
        "#   systemctl daemon-reload",
        "#   systemctl enable --now fleet-collect.timer",
        "#",
        "# Or, without systemd, one line for crontab -e:",
        f"# {Units().crontab()}",
    ]
    assert Units(Interval(30)).crontab() is None
    assert (
        Units(Interval(30))
        .printed()
        .endswith("\n# cron counts minutes: it has no line for every 30s.\n")
    )


def test_page_shows_the_crontab_line_and_every_interval():
    """What docs/scheduling.md shows is what `fleet units` prints and takes."""
    assert f"\n{Units().crontab()}\n" in SCHEDULING
    listed = re.search(r"without a gap: (.*?)\. Anything", SCHEDULING, re.DOTALL)
    assert listed
    said = []
    for part in listed[1].replace("`1d`", "1 `d`").split(";"):
        numbers, word = part.split("`")[:2]
        said += [f"{number}{word}" for number in re.findall(r"\d+", numbers)]
    assert said == EVERY


@pytest.mark.e2e
@pytest.mark.parametrize("text", re.findall(r"```ini\n(.*?)```", SCHEDULING, re.DOTALL))
def test_drop_ins_of_the_page_verify(tmp_path, text):
    """Each drop-in that docs/scheduling.md shows is clean beside our service."""
    (tmp_path / "fleet-failed.service").write_text(f"[Service]\nExecStart={sys.executable}\n")
    drop_in = text.replace("/usr/local/bin/fleet", sys.executable)
    assert complaints(tmp_path, Units(program=sys.executable), drop_in) == ""


def test_command_prints_what_it_was_given(tmp_path, monkeypatch):
    """`fleet units` fills in files by their absolute paths, and the program that it is itself."""
    monkeypatch.chdir(tmp_path)
    run = fleet("units", "--interval", "10 min", "--name", "eu", "-i", "fleet.yaml")
    assert run.returncode == 0
    assert f"{tmp_path}/fleet.yaml" in run.stderr, "the sandbox hides it: said"
    program = Path(sys.executable).with_name("fleet")
    units = Units(Interval(600), str(program), str(tmp_path / "fleet.yaml"), "eu")
    assert run.stdout == units.printed()
    assert fleet("units").stdout == Units(program=str(program)).printed()


def test_command_refuses_what_no_clock_keeps():
    """One sentence, exit 2, nothing on standard output."""
    run = fleet("units", "--interval", "7min")
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("fleet: --interval: '7min' does not go evenly")
