"""What `-i` names → documents: files, folders of files, standard input, what executables print."""

import os
import re
import sys
from collections.abc import Iterator
from typing import NamedTuple

from yaml.nodes import MappingNode

from fleet.errors import InventoryError
from fleet.inventory import program
from fleet.inventory.document import MAX_BYTES, decode, read_bytes, read_document, unreadable

STDIN = "<stdin>"

# Ansible's, for folders: what is hidden, what is no inventory, what an editor left behind.
_IGNORED = re.compile(
    r"^\.|^(?:host_vars|group_vars|vars_plugins)$"
    r"|(?:\.pyc|\.pyo|\.swp|\.bak|~|\.rpm|\.md|\.txt|\.rst|\.orig|\.cfg|\.retry)$"
)
_MAX_FOLDERS = 20  # below each other: more can only be a circle of links


class Document(NamedTuple):
    """One inventory: its name in errors, its mapping, and how it came."""

    name: str
    root: MappingNode
    json: bool  # the text is JSON by its looks
    printed: bool  # by an executable


def documents(source: str) -> Iterator[Document]:
    """The inventories that `source` names, in the order in which they count."""
    if source == "-":
        yield _document(_stdin(), STDIN, printed=False)
    elif os.path.isdir(source):
        files = list(_files(source, _MAX_FOLDERS))
        if not files:
            raise InventoryError(source, "is a folder without an inventory in it")
        for file in files:
            yield _of_file(file, pipes=False)
    else:
        if "," in source and not os.path.exists(source):
            raise InventoryError(
                source,
                "is a list of hosts, which only Ansible takes for an inventory; write it into a "
                "file, all: {hosts: {a: , b: }}, and name that",
            )
        yield _of_file(source, pipes=True)


def folder_of(source: str) -> str | None:
    """The folder in which `group_vars` and `host_vars` of a source lie."""
    if source == "-":
        return None
    return source if os.path.isdir(source) else os.path.dirname(source)


def _files(folder: str, levels: int) -> Iterator[str]:
    if not levels:
        raise InventoryError(folder, f"lies more than {_MAX_FOLDERS} folders deep")
    try:
        names = sorted(os.listdir(folder), key=os.fsencode)
    except OSError as exc:
        raise unreadable(folder, exc) from None
    for name in names:
        if not _IGNORED.search(name):
            path = os.path.join(folder, name)
            if os.path.isdir(path):
                yield from _files(path, levels - 1)
            else:
                yield path


def _of_file(path: str, pipes: bool) -> Document:
    if program.is_program(path):
        return _document(program.run(path), path, printed=True)
    return _document(read_bytes(path, pipes), path, printed=False)


def _document(data: bytes, name: str, printed: bool) -> Document:
    text = decode(data, name)
    start = text.lstrip()[:1]
    if printed and start != "{":
        shown = f"it starts with {text.lstrip()[:20]!r}" if start else "it is nothing at all"
        raise InventoryError(name, f"what it prints is not JSON: {shown}")
    return Document(name, read_document(text, name), start == "{", printed)


def _stdin() -> bytes:
    try:
        data = sys.stdin.buffer.read(MAX_BYTES + 1)
    except (OSError, ValueError) as exc:
        raise unreadable(STDIN, exc) from None
    if len(data) > MAX_BYTES:
        raise InventoryError(STDIN, f"is larger than {MAX_BYTES // 1024 // 1024} MiB")
    return data
