"""One Docker engine under two names of the inventory is said once, and a copy of it never."""

import pytest

from fleet.engines import Engines
from fleet.inventory import Host
from fleet.node_facts import Node
from fleet.sources import Sample
from fleet.sources.node import NodeFigures
from fleet.sources.state import State
from fleet.states import ContainerState
from fleet.status import Status
from fleet.visit import Visit

A, B, C = ("a" * 64, "b" * 64, "c" * 64)


def _node(boot_id: str | None) -> Node:
    return Node(NodeFigures(boot_id=boot_id), 4, 100.0, "28.2.2", None)


def _visit(name: str, *ids: str, boot_id: str | None = "boot-1", stopped=(), **more) -> Visit:
    """A visit of a node, with containers that run and some that are `stopped`."""
    samples = tuple(Sample(id, f"box-{id[0]}") for id in ids)
    states = tuple(
        ContainerState(f"box-{id[0]}", None, None, State(id, "exited"), False, "")
        for id in (*stopped, *ids)
    )
    fields = {"samples": samples, "states": states, "node": _node(boot_id), **more}
    return Visit(Host(name, name), Status.OK, None, fields.pop("detail", None), 1.0, **fields)


def _details(*visits: Visit) -> list[str | None]:
    engines = Engines()
    return [engines.told(visit).detail for visit in visits]


SAID = "one Docker engine with web1: sums count its containers twice"


@pytest.mark.parametrize("ids", [(A,), (A, B, C), (A, C)])
def test_said_once_with_the_second(ids):
    """The first visit is as it was, the second has the word, whatever they share."""
    assert _details(_visit("web1", A, B), _visit("web2", *ids)) == [None, SAID]


def test_said_of_what_does_not_run():
    """Stopped containers tell an engine, too."""
    visits = _visit("web1", stopped=(A,)), _visit("web2", B, stopped=(A,))
    assert _details(*visits) == [None, SAID]
    assert _details(_visit("web1", A), _visit("web2", stopped=(A,))) == [None, SAID]


def test_every_other_name_points_to_the_first():
    """Three names of one engine have one word each but for the first."""
    visits = _visit("web1", A), _visit("web2", A, B), _visit("web3", A, B)
    assert _details(*visits)[:2] == [None, SAID]
    assert "one Docker engine with web" in str(_details(*visits)[2])
    assert _details(_visit("web1", A), _visit("db1", B), _visit("web2", A)) == [None, None, SAID]


def test_word_stands_after_what_was_said():
    """A detail of the visit's own is kept, and nothing else of it changes."""
    engines = Engines()
    engines.told(_visit("web1", A))
    visit = _visit("web2", A, detail="1 running but not measured: b")
    told = engines.told(visit)
    assert told.detail == f"1 running but not measured: b; {SAID}"
    assert (told.host, told.samples, told.status) == (visit.host, visit.samples, visit.status)


def test_copies_of_one_image_are_engines_of_their_own():
    """Machines that were copied list the same ids, each on a kernel that it started itself."""
    visits = (_visit(f"web{n}", A, B, boot_id=f"boot-{n}") for n in range(3))
    assert _details(*visits) == [None, None, None]


def test_two_engines_of_one_machine():
    """A rootless engine beside another one shares the kernel, and no container."""
    assert _details(_visit("web1", A), _visit("web2", B, stopped=(C,))) == [None, None]
    assert _details(_visit("web1"), _visit("web2")) == [None, None]


@pytest.mark.parametrize("node", [None, _node(None)])
def test_hosts_that_say_nothing_of_the_node_are_not_judged(node):
    """Without a boot id nobody can tell a copy, so nothing is said, and nothing is remembered."""
    unknown = _visit("web2", A, node=node)
    assert _details(_visit("web1", A), unknown) == [None, None]
    assert _details(unknown, _visit("web1", A)) == [None, None]
    assert _details(unknown, _visit("web3", A, node=node)) == [None, None]


def test_one_host_twice():
    """A host that is visited again is no second name."""
    assert _details(_visit("web1", A), _visit("web1", A)) == [None, None]


def test_word_is_not_lost_behind_a_long_detail():
    """A detail of the greatest length makes room for it."""
    (_first, detail) = _details(_visit("web1", A), _visit("web2", A, detail="x" * 500))
    assert detail is not None
    assert detail.endswith(SAID)
    assert len(detail) <= 500
