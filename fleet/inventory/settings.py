"""One host's variables, read as texts, ports and truths; what cannot be used is complained of."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from yaml.nodes import Node, ScalarNode

from fleet.inventory import ssh_args
from fleet.inventory.nodes import (
    SEQ,
    STR,
    Raw,
    describe,
    integer,
    is_null,
    is_template,
    kind,
    place,
    quote,
    text,
)
from fleet.inventory.templates import Lookup, NotPlain, evaluate
from fleet.inventory.variables import SSH_ARGS, Variables

_TRUE = ("y", "yes", "on", "1", "true", "t")  # Ansible's
_FALSE = ("n", "no", "off", "0", "false", "f")
WAY = "way"  # of ProxyJump and ProxyCommand, the one that is given first


@dataclass(frozen=True, slots=True)
class Found:
    """A value, and the variable that is it or holds it; `why` a template could not be evaluated."""

    name: str
    node: Node
    verb: str = "is"
    word: str = ""  # of the option of ssh that it is
    why: str = ""

    @property
    def origin(self) -> str:
        """`FILE:LINE:COLUMN VARIABLE`."""
        return f"{place(self.node)} {self.name}"


class Settings:
    """The variables that count for one host, and what is wrong with them."""

    def __init__(self, variables: Variables, lookup: Lookup) -> None:
        self._variables = variables
        self._lookup = lookup
        self._options: dict[str, Found] = {}
        self.complaints: list[str] = []
        self.ignored: list[Found] = []
        self.templates = False  # whether one was met: then the host is like no other

    def read_ssh_args(self) -> None:
        """Take what is obeyed out of SSH options; of several the first counts."""
        for name in SSH_ARGS:
            given = self.find((name,))
            if given is None:
                continue
            words = text(given.node)
            if words is None:
                self.complain(given, "options of ssh")
                continue
            try:
                options = ssh_args.parse(words)
            except ValueError as exc:
                self.refuse(name, f"cannot be read: {exc}")
                continue
            for refused in options.refused:
                self.refuse(name, f"holds {quote(refused)}, which this version cannot honour")
            mark = given.node.start_mark
            for ignored in options.ignored:
                self.ignored.append(Found(name, Raw(STR, ignored, mark)))
            for word, value in options.settings:
                found = Found(name, Raw(STR, value, mark), "holds", word)
                key = WAY if word in ("proxyjump", "proxycommand") else word
                first = self._options.setdefault(key, found).node.value
                if word == "identityfile" and first != value:
                    self.refuse(name, f"holds {quote(value)}, a second key file; one can be used")

    def find(self, names: Sequence[str], option: str = "") -> Found | None:
        """The last of `names` that is set; else what the SSH options say."""
        found = None
        for name in names:
            node = self._variables.get(name)
            if node is not None and not is_null(node):
                found = Found(name, node)
        if found is not None and is_template(found.node):
            found = self._evaluated(found)
            if is_null(found.node):
                found = None
        if found is None or (option and found.node.value == ""):
            return self._options.get(option)
        return found

    def each(self, found: Found) -> Iterator[Found]:
        """The members of a list, or the one value that is none."""
        if kind(found.node) != SEQ:
            yield found
            return
        for node in found.node.value:
            yield self._evaluated(replace(found, node=node))

    def _evaluated(self, found: Found) -> Found:
        if not is_template(found.node):
            return found
        self.templates = True
        try:
            return replace(found, node=evaluate(found.node, self._lookup))
        except NotPlain as exc:
            return replace(found, why=str(exc))

    def word(self, names: Sequence[str]) -> str | None:
        """A text as it stands, complained of by nobody; None where there is none."""
        found = self.find(names)
        return text(found.node) if found else None

    def text(
        self, names: Sequence[str], pattern: re.Pattern[str], expected: str, option: str = ""
    ) -> str | None:
        """A text that fits `pattern`."""
        found = self.find(names, option)
        if found is None:
            return None
        value = text(found.node)
        if value is not None and value.isprintable() and pattern.fullmatch(value):
            return value
        self.complain(found, expected)
        return None

    def port(self, names: Sequence[str], option: str) -> int | None:
        """A port's number."""
        found = self.find(names, option)
        if found is None:
            return None
        number = integer(found.node)
        if number is not None and 1 <= number <= 65535:
            return number
        self.complain(found, "a port from 1 to 65535")
        return None

    def truth(self, name: str) -> bool:
        """What Ansible takes for true."""
        found = self.find((name,))
        if found is None:
            return False
        scalar = isinstance(found.node, ScalarNode) and kind(found.node)
        word = found.node.value.strip().lower() if scalar else ""
        if word not in _TRUE + _FALSE:
            self.complain(found, "a boolean")
        return word in _TRUE

    def is_clear(self, found: Found) -> bool:
        """Whether a secret stands there for all to read, in no vault and no cleverer template."""
        node = found.node
        return isinstance(node, ScalarNode) and bool(kind(node)) and not is_template(node)

    def complain(self, found: Found, expected: str) -> None:
        """Say what was found and what was expected; nothing of a foreign type is shown."""
        node = found.node
        if is_template(node):
            rest = found.why
        elif not kind(node):
            rest = "which fleet cannot read"
        else:
            rest = f"expected {expected}"
        self.complaints.append(f"{place(node)}: {found.name} {found.verb} {describe(node)}, {rest}")

    def refuse(self, name: str, why: str) -> None:
        """Say why a variable cannot be used."""
        self.complaints.append(f"{place(self._variables[name])}: {name} {why}")
