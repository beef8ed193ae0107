"""Every status has its causes and cures, from one source: the page, and the advice of check."""

import re
import shlex
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import click
import pytest

from fleet.advice import Words, advise, as_lines, as_page, common, likely
from fleet.causes import CHAPTERS
from fleet.status import Phase, Status

PAGE = Path(__file__).parent.parent / "docs/statuses.md"
RENEW = (
    "docs/statuses.md is not what fleet/advice.py makes of fleet/causes.py; renew it with\n"
    "  python -c 'from fleet.advice import as_page; print(as_page(), end=\"\")' >docs/statuses.md"
)
ALL = [
    (status, about, cause)
    for chapter in CHAPTERS.values()
    for status, about in chapter.items()
    for cause in about.causes
]
WEB = Words(
    host="web01",
    address="10.0.0.1",
    port="2222",
    user="ops",
    key="/keys/id",
    sudoers="fleet authorize --format sudoers --docker /snap/bin/docker web01",
)

SEEN = [
    (Status.PARTIAL, Phase.DAEMON, "2 running but not measured: a, b", "runs and has no figures"),
    (Status.PARTIAL, Phase.DAEMON, "docker ps failed with exit status 1: no", "beside good"),
    (Status.PARTIAL, Phase.PARSE, "1 line could not be understood: 'x'", "line was not understood"),
    (Status.PARTIAL, Phase.PROBE, "the answer was cut off (exit status 0)", "was cut off"),
    (Status.BAD_CONFIG, None, "i.yaml:3:9: ansible_port is 0, expected a port", "A port of 0"),
    (Status.BAD_CONFIG, None, "i.yaml:3:9: ansible_password: passwords are not", "password"),
    (Status.BAD_CONFIG, Phase.PROBE, "the probe on the node refused a word", "forced command"),
    (Status.SKIPPED, None, "the sweep's deadline came first", "`--deadline` came first"),
    (Status.SKIPPED, None, "the run was interrupted", "interrupted"),
    (Status.DNS, Phase.RESOLVE, "'x' does not resolve: Name or service not known", "No such name"),
    (Status.DNS, Phase.RESOLVE, "the resolver gave no answer for 'x' within 3 s", "no answer"),
    (Status.UNREACHABLE, Phase.CONNECT, "1.2.3.4 port 22: Connection refused", "nobody listens"),
    (Status.UNREACHABLE, Phase.CONNECT, "1.2.3.4 port 22: No route to host", "No way leads"),
    (Status.UNREACHABLE, Phase.CONNECT, "1.2.3.4 port 22: Network is unreachable", "No way leads"),
    (Status.UNREACHABLE, Phase.CONNECT, "the connection was ended before the login", "MaxStartups"),
    (Status.UNREACHABLE, Phase.CONNECT, "turned away before the login: b'Exc'", "MaxStartups"),
    (
        Status.UNREACHABLE,
        Phase.CONNECT,
        "10.0.0.1 port 22 cannot be reached from the bastion b1",
        "From the bastion",
    ),
    (Status.UNREACHABLE, Phase.CONNECT, "1.2.3.4 port 22: Protocol not available", "is down"),
    (Status.UNREACHABLE, Phase.CONNECT, "the ProxyCommand ended: b'no'", "ProxyCommand"),
    (Status.JUMP_FAILED, Phase.CONNECT, "bastion b: it forbids forwarding (A, B)", "not forward"),
    (Status.JUMP_FAILED, Phase.HOST_KEY, "bastion b: x, and no key is known for it", "host key is"),
    (Status.JUMP_FAILED, Phase.LOGIN, "bastion b: auth_failed: no key of ours", "let nobody in"),
    (Status.TIMEOUT, Phase.CONNECT, "no answer from 1.2.3.4 port 22 within 3 s", "Nobody answered"),
    (
        Status.TIMEOUT,
        Phase.CONNECT,
        "the port took the connection and said nothing for 3 s",
        "took the connection",
    ),
    (Status.TIMEOUT, Phase.CONNECT, "the bastion b1 was not reached in time", "turn did not come"),
    (Status.TIMEOUT, Phase.CONNECT, "no turn at the bastion b1 came in time", "turn did not come"),
    (
        Status.TIMEOUT,
        Phase.CONNECT,
        "no answer from 10.0.0.1 port 22 within 3 s, by way of b1",
        "answered the bastion",
    ),
    (Status.TIMEOUT, Phase.LOGIN, "the login was not through after 3 s", "LDAP"),
    (Status.TIMEOUT, Phase.PROBE, "the probe said nothing within 20 s", "login script that"),
    (Status.TIMEOUT, Phase.DAEMON, "docker ps gave no answer within 1 s, which", "too little time"),
    (Status.SSH_ERROR, Phase.CONNECT, "no SSH server: it says b'220'", "no SSH server"),
    (Status.SSH_ERROR, Phase.CONNECT, "Incompatible ssh peer (no acceptable kex", "in common"),
    (Status.SSH_ERROR, Phase.PROBE, "the server opened no session for a command", "no session"),
    (Status.SSH_ERROR, Phase.PROBE, "the connection broke while the probe ran", "broke"),
    (Status.HOST_KEY_UNKNOWN, Phase.HOST_KEY, "x shows y, and no key is known for it", "recorded"),
    (
        Status.HOST_KEY_UNKNOWN,
        Phase.HOST_KEY,
        "x shows y, and no key is known for it; its @cert-authority line cannot be used",
        "certificate authority",
    ),
    (Status.HOST_KEY_CHANGED, Phase.HOST_KEY, "x, which is not the key known for it", "rebuilt"),
    (Status.HOST_KEY_CHANGED, Phase.HOST_KEY, "x, which is marked @revoked", "@revoked"),
    (Status.HOST_KEY_CHANGED, Phase.HOST_KEY, "the node shows no key of a known type (e)", "type"),
    (Status.AUTH_FAILED, Phase.LOGIN, "no key of ours was accepted (x)", "did not take the key"),
    (
        Status.AUTH_FAILED,
        Phase.LOGIN,
        "no key of ours was accepted (the server asks for more: keyboard-interactive)",
        "second factor",
    ),
    (Status.AUTH_FAILED, Phase.LOGIN, "private key /k is encrypted, and no agent", "encrypted"),
    (
        Status.AUTH_FAILED,
        Phase.LOGIN,
        "private key /k is encrypted, and the passphrase in FLEET_SSH_PASSPHRASE_FILE does not "
        "open it",
        "encrypted",
    ),
    (
        Status.AUTH_FAILED,
        Phase.LOGIN,
        "private key /k can be read by others (mode 0644): chmod 600 /k",
        "Others than its owner",
    ),
    (
        Status.AUTH_FAILED,
        Phase.LOGIN,
        "private key /k: No such file or directory",
        "cannot be read",
    ),
    (Status.AUTH_FAILED, Phase.LOGIN, "private key /k: Permission denied", "cannot be read"),
    (Status.AUTH_FAILED, Phase.LOGIN, "private key /k: not a private key that", "cannot be read"),
    (
        Status.AUTH_FAILED,
        Phase.LOGIN,
        "the server ended the login (too many of our keys were tried before the right one)",
        "MaxAuthTries",
    ),
    (
        Status.AUTH_FAILED,
        Phase.LOGIN,
        "there is no private key to log in with, and no agent with one",
        "There is no key",
    ),
    (Status.NO_DOCKER, Phase.PROBE, "no docker to run on the node", "not installed"),
    (Status.DOCKER_DENIED, Phase.DAEMON, "sudo: a password is required; /etc/…", "sudo -n"),
    (Status.DOCKER_DENIED, Phase.DAEMON, "permission denied while trying to connect", "group"),
    (Status.DOCKER_DOWN, Phase.DAEMON, "Cannot connect to the Docker daemon", "does not run"),
    (Status.DOCKER_DOWN, Phase.DAEMON, "docker ps gave no answer within 10 s", "frozen"),
    (
        Status.DOCKER_DOWN,
        Phase.DAEMON,
        "docker stats gave no answer within 20 s, though docker ps did: a stuck container",
        "stuck",
    ),
    (Status.DOCKER_DOWN, Phase.DAEMON, "docker ps was killed on the node", "died"),
    (
        Status.BAD_OUTPUT,
        Phase.PROBE,
        "not one line of the probe's format (exit status 1), but 'This account is currently not "
        "available.'",
        "runs no commands",
    ),
    (Status.BAD_OUTPUT, Phase.PROBE, "not one line of the probe's format (exit", "login script"),
    (Status.BAD_OUTPUT, Phase.PROBE, "the answer was cut off at 4 MiB", "flood"),
    (Status.BAD_OUTPUT, Phase.PARSE, "3 lines could not be understood: 'x'", "none could be"),
    (Status.PROBE_OUTDATED, Phase.PROBE, "answers in format 7 of the probe", "older version"),
]
"""Details as they come, and a part of what the one cause that fits them says."""


def test_page_is_made_from_the_same_texts():
    """What the manual says of a status is what check says."""
    assert PAGE.read_text() == as_page(), RENEW


def test_every_status_has_its_place_once():
    """None is forgotten, none stands twice; all but `ok` have a cause, and each cause a cure."""
    placed = [status for chapter in CHAPTERS.values() for status in chapter]
    assert sorted(placed) == sorted(Status)
    for status, about, cause in ALL:
        assert cause.cures, (status, cause.what)
        assert about.meaning.endswith(".")
        assert cause.what.endswith(".")
    assert {status for status, *_ in ALL} == set(Status) - {Status.OK}


@pytest.mark.parametrize(("status", "phase", "detail", "part"), SEEN)
def test_detail_leads_to_its_cause(status, phase, detail, part):
    """The words of a failure pick the one cause that fits them."""
    (cause,) = likely(status, phase, detail)
    assert part in cause.what


def test_every_cause_is_reached():
    """There is no cause that no detail leads to."""
    reached = {likely(status, phase, detail)[0].what for status, phase, detail, _part in SEEN}
    assert {cause.what for _status, _about, cause in ALL} == reached


def test_unforeseen_detail_still_gets_advice():
    """Whatever status, phase and detail come together, something is said."""
    for status in set(Status) - {Status.OK}:
        for phase in (None, *Phase):
            for detail in (None, "", "(", "something else"):
                assert likely(status, phase, detail)


def test_commands_are_commands_of_ours():
    """Whatever `fleet ...` a cure says is a command that there is, with options that it has."""
    texts = [about.meaning for _status, about, _cause in ALL]
    texts += [text for *_, cause in ALL for text in (cause.what, *cause.cures)]
    said = {words for text in texts for words in re.findall(r"`fleet ([a-z]+[^`]*)`", text)}
    assert {words.split()[0] for words in said} == {
        *("authorize", "check", "collect", "hosts", "trust")
    }
    for words in said:
        name, *rest = words.split()
        if name == "collect":
            from fleet.cli import _fleet

            command = _fleet.commands[name]
        else:
            command = import_module(f"fleet.commands.{name}").command
        options = {
            option
            for parameter in command.params
            if isinstance(parameter, click.Option)
            for option in parameter.opts
        }
        assert {word for word in rest if word.startswith("-")} <= options, words


def test_advice_is_in_the_words_of_the_host():
    """Its name, address, port, user, key and way to sudoers stand where the manual has words."""
    for status, _about, cause in ALL:
        lines = "\n".join(as_lines(advise(status, [cause], WEB), 100))
        assert not re.search(r"HOST\b|ADDRESS|PORT\b|USER\b|KEY\b|[{}`]", lines), lines
    lines = as_lines(advise(Status.HOST_KEY_UNKNOWN, [_cause("not recorded yet")], WEB), 100)
    assert "      fleet trust web01 --from console.txt" in lines
    lines = as_lines(advise(Status.DOCKER_DENIED, [_cause("`sudo -n` refused")], WEB), 100)
    assert f"      {WEB.sudoers}" in lines


def test_login_by_hand_goes_the_same_way():
    """By the same bastions, with the same key."""
    assert Words().ssh == "ssh -p PORT USER@ADDRESS"
    assert WEB.ssh == "ssh -p 2222 -i /keys/id ops@10.0.0.1"
    behind = replace(WEB, jumps="jo@b1:22,jo@b2:22", key="KEY")
    assert behind.ssh == "ssh -p 2222 -J jo@b1:22,jo@b2:22 ops@10.0.0.1"


def test_names_of_others_stay_words():
    """What a shell would take apart is quoted in a command."""
    words = replace(WEB, host="web; rm -rf $HOME", user="o'ps", key="/my keys/id")
    advice = advise(Status.HOST_KEY_UNKNOWN, [_cause("not recorded yet")], words)
    command = advice.causes[0][1][0].command
    assert command is not None
    assert shlex.split(command)[2] == "web; rm -rf $HOME"
    assert shlex.split(words.ssh)[-1] == "o'ps@10.0.0.1"


def test_advice_to_several_hosts_says_what_they_share():
    """A few are named together; what differs between them has the manual's word."""
    both = common([WEB, replace(WEB, host="web02", address="10.0.0.2")])
    assert (both.host, both.address, both.user) == ("web01,web02", "ADDRESS", "ops")
    many = common([replace(WEB, host=f"web{number}") for number in range(20)])
    assert (many.host, many.address) == ("HOST", "10.0.0.1")
    assert common([WEB]) == WEB


def test_lines_keep_to_the_width():
    """Texts are wrapped; commands are not, to be copied whole."""
    for status, about, _cause in ALL:
        advice = advise(status, about.causes, WEB)
        commands = {f"      {cure.command}" for _what, cures in advice.causes for cure in cures}
        lines = as_lines(advice, 60)
        assert all(len(line) <= 60 for line in lines if line not in commands), lines
        assert commands - {"      None"} <= set(lines)


def _cause(part):
    (cause,) = (cause for *_, cause in ALL if part in cause.what)
    return cause
