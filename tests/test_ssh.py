"""Reading a channel: the moments that a real node hits only now and then."""

from collections import deque

import paramiko
import pytest

from fleet.allowance import Allowance
from fleet.errors import HostError
from fleet.inventory import Host
from fleet.status import Status
from fleet.transport import MAX_STDERR_BYTES, MAX_STDOUT_BYTES, Ended
from fleet.transport.channel import read
from fleet.transport.client_config import user_name
from fleet.transport.route import Routes
from fleet.transport.session import Session
from fleet.transport.ssh import Ssh, SshOptions


class Idle(Session):
    """A session on which nothing comes while it is waited for: the channel's events are it."""

    def __init__(self) -> None:
        """Without a connection."""

    def pump(self, *_words: object) -> bool:
        """The time is over."""
        return False


class Channel:
    """Plays a list of events: bytes that come, a second of silence (None), the command's end."""

    closed = eof_received = False

    def __init__(self, *events: bytes | str | None, stderr: tuple[bytes, ...] = ()) -> None:
        self._events = deque(events)
        self._stderr = deque(stderr)
        self._ended = False

    def get_transport(self) -> Idle:
        return Idle()

    def recv_ready(self) -> bool:
        return False

    def exit_status_ready(self) -> bool:
        return self._ended

    def recv(self, _size: int) -> bytes:
        event = self._events.popleft()
        while event == "exit":
            self._ended = True
            event = self._events.popleft()
        if event is None:
            raise TimeoutError
        return event

    def recv_stderr_ready(self) -> bool:
        return bool(self._stderr)

    def recv_stderr(self, _size: int) -> bytes:
        return self._stderr.popleft()


def test_connections_share_no_options():
    """Each has a plain dict of its own: to fill in a view of the shared configuration would merge
    it under other threads.
    """
    hosts = [Host("a", "127.0.0.1"), Host("b", "127.0.0.2")]
    ssh = Ssh(hosts, SshOptions(1.0, routes=Routes("none")))
    one, other = (ssh._connections[name].connect_kwargs for name in "ab")
    assert (type(one), type(other)) == (dict, dict)
    assert one is not other


def test_known_hosts_that_cannot_be_read_are_that_hosts_trouble(tmp_path):
    """They are read before any visit begins, once; the other hosts are visited."""
    config = tmp_path / "config"
    config.write_text("Host a\n UserKnownHostsFile /proc/self/mem\n")  # reading it is an error
    hosts = [Host("a", "a"), Host("b", "b")]
    ssh = Ssh(hosts, SshOptions(1.0, routes=Routes(str(config))))
    with pytest.raises(HostError, match="/proc/self/mem") as caught:
        ssh.shown_keys(hosts[0], Allowance(1))
    assert caught.value.status is Status.BAD_CONFIG
    assert set(ssh._connections) == {"b"}


def _read_all(channel: Channel, seconds: float = 30) -> tuple[bytes, bytes, Ended]:
    stdout, stderr = bytearray(), bytearray()
    ended = read(channel, stdout, stderr, Allowance(seconds))
    return bytes(stdout), bytes(stderr), ended


def test_answer_that_comes_with_the_end_of_a_silence_is_read():
    """Exit status and data may arrive in the moment after a wait ran out."""
    channel = Channel("exit", None, b"all of it", b"")
    assert _read_all(channel) == (b"all of it", b"", Ended.EXIT)


def test_stream_that_something_else_holds_open_is_left():
    """The command has ended, and nothing came for a second."""
    channel = Channel(b"answer", "exit", None, None)
    assert _read_all(channel) == (b"answer", b"", Ended.EXIT)


def test_silence_before_the_end_is_waited_through():
    """`docker stats` says nothing for seconds."""
    channel = Channel(None, None, None, b"late", "exit", b"")
    assert _read_all(channel) == (b"late", b"", Ended.EXIT)


def test_too_much_is_cut_and_said():
    """4 MiB, and not a byte more."""
    channel = Channel(*[b"x" * 32768] * 200)
    stdout, _stderr, ended = _read_all(channel)
    assert (len(stdout), ended) == (MAX_STDOUT_BYTES, Ended.FLOOD)


def test_stderr_is_kept_to_its_beginning():
    """What is beyond is read, so that the node is not held up, and dropped."""
    channel = Channel(b"ok", "exit", b"", stderr=(b"first ", *[b"y" * 32768] * 50))
    stdout, stderr, ended = _read_all(channel)
    assert (stdout, len(stderr), ended) == (b"ok", MAX_STDERR_BYTES, Ended.EXIT)
    assert stderr.startswith(b"first ")


def test_time_that_is_up_keeps_what_came():
    """The allowance ends the reading; what has come is kept."""
    allowance = Allowance(30)
    stdout = bytearray(b"before")

    class Ending(Channel):
        def recv(self, size: int) -> bytes:
            allowance.expire()
            return super().recv(size)

    assert read(Ending(b" and late"), stdout, bytearray(), allowance) is Ended.TIMEOUT
    assert stdout == b"before and late"


def test_paramiko_is_what_we_lean_on():
    """What we use of paramiko beyond its manual is there in the version at hand."""
    assert "ssh-ed25519" in paramiko.Transport._preferred_keys
    assert hasattr(paramiko.Packetizer, "complete_handshake")
    assert hasattr(paramiko.SSHConfig, "_expand_variables")
    assert hasattr(paramiko.SSHConfig, "_does_match")
    assert paramiko.common.MSG_CHANNEL_CLOSE in paramiko.Transport._channel_handler_table
    assert hasattr(paramiko.Channel, "_handle_close")
    assert hasattr(paramiko.Transport, "_next_channel")
    assert hasattr(paramiko.Transport, "_parse_channel_open_failure")


@pytest.mark.parametrize("error", [KeyError("uid"), OSError("no user name")])
def test_nameless_user_logs_in_as_nobody(monkeypatch, error):
    """Python says it by KeyError up to 3.12, and by OSError since."""

    def getuser():
        raise error

    monkeypatch.setattr("getpass.getuser", getuser)
    assert user_name() == ""
