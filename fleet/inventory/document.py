"""A text in YAML, JSON among it → its tree of nodes, each with its place."""

import io
import os
import re
import select
import stat

import yaml
from yaml.nodes import MappingNode, Node, SequenceNode

from fleet.errors import InventoryError
from fleet.inventory.nodes import MAX_DEPTH, error, is_map, is_null, misplaced

MAX_BYTES = 64 * 1024 * 1024
SILENCE_S = 60.0  # for which a pipe may say nothing
MAX_NODES = 2_000_000  # each weighs some 600 bytes
TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep"

_INI = re.compile(r"\[[\w.:-]+\]\s*$")
_LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # YAML's, by which marks count
_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/([0-9]{1,6})")
_CHUNK_BYTES = 1024 * 1024
_VAULT = b"$ANSIBLE_VAULT;"
_PAIR = re.compile(
    r"(?<!\\)((?:\\\\)*)\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})", re.IGNORECASE
)

_Base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Stream(io.BytesIO):
    """Bytes under the name that marks and errors repeat."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self.name = name


class _Loader(_Base):  # type: ignore[misc,valid-type]  # C's, where PyYAML was built with it
    """Composes nodes and nothing more, to a bounded depth (C's own recursion has no bound)."""

    depth = nodes = 0

    def descend_resolver(self, parent: Node | None, _index: object) -> None:
        self.depth += 1
        self.nodes += 1
        if self.depth > MAX_DEPTH and parent is not None:
            raise error(parent, TOO_DEEP)
        if self.nodes > MAX_NODES and parent is not None:
            raise error(parent, f"holds more than {MAX_NODES:,} keys and values up to here")

    def ascend_resolver(self) -> None:
        self.depth -= 1


def read_document(text: str, name: str) -> MappingNode:
    """The one mapping of groups that `text` holds; errors call it `name`."""
    root = _read(text, name)
    if root is None or is_null(root):
        raise InventoryError(name, "is empty; expected a mapping of groups")
    if not is_map(root):
        if isinstance(root, SequenceNode):
            _refuse_ini(name, text)
        raise misplaced(root, "found", "a mapping of groups")
    return root


def read_variables(path: str) -> MappingNode | None:
    """The mapping in a file of variables; None where it is empty, or encrypted as a whole."""
    data = read_bytes(path)
    if data.startswith(_VAULT):
        return None
    root = _read(decode(data, path), path)
    if root is None or is_null(root):
        return None
    if not is_map(root):
        raise misplaced(root, "found", "a mapping of variables")
    return root


def read_bytes(path: str, pipes: bool = False) -> bytes:
    """The content of a file of bearable size; with `pipes`, of one that is not regular as well."""
    try:
        with open(_opened(path), "rb") as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                data = file.read(MAX_BYTES + 1)
            elif pipes:
                data = _from_pipe(path, file.fileno())
            else:
                raise InventoryError(path, "is no regular file, and no other is read here")
    except (OSError, ValueError) as exc:
        raise unreadable(path, exc) from None
    if len(data) > MAX_BYTES:
        raise InventoryError(path, f"is larger than {MAX_BYTES // 1024 // 1024} MiB")
    return data


def _opened(path: str) -> int:
    """A descriptor for `path`; a pipe is opened without waiting for one who writes."""
    if found := _DESCRIPTOR.fullmatch(path):
        return os.dup(int(found[1]))  # opened anew, its end could be missed
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)


def _from_pipe(path: str, fd: int) -> bytes:
    """What comes out of a pipe until its end, which has to come without long silence."""
    data = bytearray()
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    while len(data) <= MAX_BYTES:
        if not poll.poll(SILENCE_S * 1000):
            raise InventoryError(
                path, f"is no regular file, and nothing came out of it for {SILENCE_S:g} s"
            )
        try:
            chunk = os.read(fd, _CHUNK_BYTES)
        except BlockingIOError:
            continue
        if not chunk:
            break
        data += chunk
    return bytes(data)


def unreadable(path: str, exc: OSError | ValueError) -> InventoryError:
    """What the system said when `path` was to be read."""
    reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
    return InventoryError(path, f"cannot be read: {reason}")


def decode(data: bytes, name: str) -> str:
    """The text that `data` is."""
    if data.startswith(_VAULT):
        raise InventoryError(
            name, "is encrypted by ansible-vault, which fleet cannot open; leave the file plain"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line, column = _line_column(exc.object[: exc.start].decode())
        found = f"found the byte 0x{exc.object[exc.start]:02x}, expected UTF-8"
        raise InventoryError(name, found, line, column) from None


def _read(text: str, name: str) -> Node | None:
    """The one document in `text`."""
    if "\\u" in text and text.lstrip()[:1] == "{":
        text = _PAIR.sub(_joined, text)
    try:
        root, second = _compose(text, name)
    except yaml.YAMLError as exc:
        raise _syntax_error(name, text, exc) from None
    if second is not None:
        raise InventoryError(name, "a second document starts here; expected one", *second)
    return root


def _joined(pair: re.Match[str]) -> str:
    """The two halves in which JSON writes a character beyond U+FFFF, as YAML writes it."""
    high, low = int(pair[2], 16), int(pair[3], 16)
    return f"{pair[1]}\\U{0x10000 + ((high - 0xD800) << 10) + low - 0xDC00:08x}"


def _compose(text: str, path: str) -> tuple[Node | None, tuple[int, int] | None]:
    """The first document's node, and where a second one starts."""
    loader = _Loader(_Stream(text.encode(), path))
    try:
        if not loader.check_node():
            return None, None
        root = loader.get_node()
        after = loader.peek_event()
        mark = after.start_mark if isinstance(after, yaml.DocumentStartEvent) else None
        return root, (mark.line + 1, mark.column + 1) if mark else None
    finally:
        loader.dispose()


def _syntax_error(path: str, text: str, exc: yaml.YAMLError) -> InventoryError:
    _refuse_ini(path, text)
    if isinstance(exc, yaml.MarkedYAMLError) and (mark := exc.problem_mark):
        line, column = mark.line + 1, mark.column + 1
        if "nesting depth" in str(exc.problem):  # libyaml from 0.2.6 on has a bound of its own
            return InventoryError(path, TOO_DEEP, line, column)
        around = "".join(_LINE_END.split(text)[line - 1 : line])
        indent = around[: len(around) - len(around.lstrip())]
        if "\t" in indent + around[column - 1 : column]:
            return InventoryError(path, "found a tab; YAML indents with spaces", line, column)
        context = f" {exc.context}" if exc.context else ""
        return InventoryError(path, f"is not YAML: {exc.problem}{context}", line, column)
    if found := _CONTROL.search(text):
        line, column = _line_column(text[: found.start()])
        return InventoryError(path, f"found the control character {found[0]!r}", line, column)
    return InventoryError(path, f"is not YAML: {exc}")


def _refuse_ini(path: str, text: str) -> None:
    for line in text.splitlines():
        if line.strip() and not line.startswith(("#", ";")):
            if _INI.match(line):
                raise InventoryError(path, "looks like Ansible's INI format; expected YAML")
            return


def _line_column(before: str) -> tuple[int, int]:
    return before.count("\n") + 1, len(before) - before.rfind("\n")
