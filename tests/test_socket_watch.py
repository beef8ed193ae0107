"""A socket that is watched: what is sent goes out when somebody reads, and waits end in time."""

import socket
import threading
import time

import pytest

from fleet.transport.socket_watch import MAX_GATHERED_BYTES, WatchedSocket


@pytest.fixture
def ends():
    """Ours, which gathers, and the other end of the connection."""
    one, other = socket.socketpair()
    ours = WatchedSocket(socket.AF_UNIX, one.detach())
    ours.calm()
    ours.gathers = True
    with other:
        yield ours, other
    ours.close()


def test_what_is_sent_goes_out_together_when_we_read(ends):
    """Two messages are one packet, and not one before there is something to wait for."""
    ours, other = ends
    ours.send(b"one ")
    ours.send(b"two")
    other.setblocking(False)
    with pytest.raises(BlockingIOError):
        other.recv(100)
    assert not ours.wait(0.0)
    assert other.recv(100) == b"one two"
    other.send(b"three")
    ours.send(b"four")
    assert ours.recv(100) == b"three"
    assert other.recv(100) == b"four"


def test_nothing_is_sent_after_all_but_what_was_said_before_is_read(ends):
    """The other end said something and left: that is read, whatever we had to send."""
    ours, other = ends
    other.send(b"bye")
    other.close()
    ours.send(b"too late")
    assert ours.recv(100) == b"bye"
    ours.send(b"again")
    assert ours.recv(100) == b""
    assert ours.ended


def test_who_asks_and_never_reads_is_not_answered_for_ever(ends):
    """What waits to be sent is bounded; what the kernel has no room for does not end a wait."""
    ours, _other = ends
    ours.send(bytes(MAX_GATHERED_BYTES))
    ours.send(bytes(MAX_GATHERED_BYTES))
    with pytest.raises(BrokenPipeError):
        ours.send(b"one more")
    assert not ours.wait(0.2)
    ours.settimeout(0.2)
    with pytest.raises(TimeoutError):
        ours.recv(1)


def test_bytes_that_come_one_by_one_do_not_put_off_the_end(ends):
    """Before each wait the time is asked anew, so that drops do not make it longer."""
    ours, other = ends
    asked, over = [], threading.Event()

    def drip():
        while not over.wait(0.01):
            other.send(b"x")

    def ask():
        asked.append(time.monotonic())
        if len(asked) > 5:
            raise TimeoutError("enough")

    dripping = threading.Thread(target=drip)
    dripping.start()
    try:
        with pytest.raises(TimeoutError, match="enough"):
            ours.take(1_000_000, ask)
    finally:
        over.set()
        dripping.join()


def test_packet_in_pieces_is_taken_whole_and_the_rest_stays(ends):
    """`take` gives what is asked for, over the bounds of what came, and `recv` what is left."""
    ours, other = ends
    other.send(b"abc")
    assert ours.take(2, lambda: None) == b"ab"
    assert ours.holds()
    other.send(b"defgh")
    assert ours.take(4, lambda: None) == b"cdef"
    assert ours.recv(100) == b"gh"
    assert not ours.holds()
    other.close()
    with pytest.raises(EOFError):
        ours.take(1, lambda: None)
