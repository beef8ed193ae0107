"""A case through both resolvers, and where they differ."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any

from fleet.errors import InventoryError
from fleet.inventory import load
from tests.oracle.case import Files
from tests.oracle.view import View, ours


def load_case(files: Files) -> View:
    """What fleet makes of a case."""
    with _stdin(files.stdin), contextlib.chdir(files.base):
        view = ours(load(*files.ours))
        for settings in view.connection.values():
            if settings["key_file"]:
                settings["key_file"] = os.path.abspath(settings["key_file"])
        return view


@contextlib.contextmanager
def _stdin(data: bytes) -> Iterator[None]:
    before = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(data))
    try:
        yield
    finally:
        sys.stdin = before


def differences(files: Files, expected: View) -> list[str]:
    """Where fleet's reading of a case is not `expected`, Ansible's; [] where they are equal."""
    try:
        found = load_case(files)
    except InventoryError as exc:
        return [f"fleet refuses it: {exc}"]
    return list(_differ(files, expected, found))


def _differ(files: Files, expected: View, found: View) -> Iterator[str]:
    yield from unequal("hosts", expected.hosts, found.hosts)
    yield from unequal("groups", tuple(expected.groups), tuple(found.groups))
    for name in expected.groups.keys() & found.groups.keys():
        theirs, mine = expected.groups[name], found.groups[name]
        if name in expected.loose:
            yield from unequal(f"hosts of {name} (any order)", sorted(theirs), sorted(mine))
        else:
            yield from unequal(f"hosts of {name}", theirs, mine)
    if found.branches:
        for name in expected.branches:
            yield from unequal(
                f"what {name} holds", expected.branches[name], found.branches.get(name)
            )
    for host in expected.hosts:
        if host not in found.memberships:
            continue
        yield from unequal(f"groups of {host}", expected.memberships[host], found.memberships[host])
        bad = host in expected.unusable, host in found.unusable
        yield from unequal(f"{host} unusable", *bad)
        if not any(bad):
            for field, value in _connection(files, expected, host).items():
                yield from unequal(f"{field} of {host}", value, found.connection[host][field])


def unequal(what: str, expected: Any, found: Any) -> Iterator[str]:
    """A line about two values, if they differ."""
    if expected != found:
        yield f"{what}: Ansible has {expected!r}, fleet has {found!r}"


def _connection(files: Files, view: View, host: str) -> dict[str, Any]:
    """Ansible's values in the words of `Host`: types, defaults, whole paths."""
    raw = view.connection[host]
    connection = str(raw["connection"] or "ssh").rpartition(".")[2].replace("smart", "ssh")
    if connection == "local":
        return {"connection": connection, "become": raw["become"]}
    user, key = raw["user"], raw["key_file"]
    return {
        "address": str(raw["address"]),
        "port": None if raw["port"] is None else int(raw["port"]),
        "user": None if user is None else str(user),
        "key_file": key_file(files, key) if key else None,
        "become": raw["become"],
        "connection": connection,
    }


def key_file(files: Files, value: str) -> str:
    """Where a key file is, for us: relative to the inventory that names it."""
    if value.startswith("~"):
        return os.path.expanduser(value)
    if value in files.case.relative:
        return os.path.join(files.base, files.case.relative[value], value)
    return value
