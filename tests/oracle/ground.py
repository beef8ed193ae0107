"""What a case grows from: names, values that differ from all others, places for variables."""

import random
from collections.abc import Collection
from typing import Any

from tests.oracle.case import Body, Case, Document, Variables
from tests.oracle.emit import Merge, Shared
from tests.oracle.layout import lay_out

GROUPS = ("web", "db", "east-1", "alpha", "zulu", "mid", "x1", "Prod")
HOSTS = ("h1", "web-2", "db.example.com", "10.0.0.9", "n5", "N6")
NAMES = {
    "host": "ansible_host",
    "port": "ansible_port",
    "user": "ansible_user",
    "key": "ansible_ssh_private_key_file",
    "become": "ansible_become",
    "connection": "ansible_connection",
}
KINDS = ("host", "port", "user", "key", "become")


class Ground:
    """A case with its documents and, in each, two groups of two hosts."""

    def __init__(self, seed: str, wanted: frozenset[str]) -> None:
        self.rng = random.Random(f"{seed} {sorted(wanted)}")
        self.case = Case(f"{seed}: {' '.join(sorted(wanted))}")
        self.wanted = wanted
        self.order = self.rng.sample(GROUPS, len(GROUPS))  # parents stand before children
        self.hosts = list(HOSTS)
        self.focus = self.rng.choice(self.hosts)
        self.count = 0
        lay_out(self.case, wanted, self.rng)
        for document in self.case.documents:
            self._base(document)

    def _number(self) -> int:
        self.count += 1
        return self.count

    def _host(self) -> str:
        return self.focus if self.rng.random() < 0.5 else self.rng.choice(self.hosts)

    def _value(self, kind: str, folder: str | None) -> Any:
        """A value that no other variable of the case has, truths aside."""
        number = self._number()
        if kind == "host":
            return self.rng.choice((f"10.1.0.{number}", f"node{number}.example.com"))
        if kind == "port":
            return self.rng.choice((2000 + number, str(2000 + number)))
        if kind == "user":
            return f"u{number}" if self.rng.random() < 0.95 else 1000 + number
        if kind == "key":
            if folder is not None and self.rng.random() < 0.5:
                self.case.relative[f"keys/k{number}"] = folder
                return f"keys/k{number}"
            return self.rng.choice((f"/keys/k{number}", f"~/k{number}"))
        if kind == "become":
            return self.rng.choice((True, False, "yes", "no", "True", 1, 0))
        return self.rng.choice(("ssh", "ssh", "smart", "local", "ansible.builtin.ssh"))

    def _connection(self, folder: str | None, kinds: Collection[str] = ()) -> Variables:
        """Some connection variables."""
        if not kinds:
            kinds = self.rng.sample(KINDS, self.rng.choice((1, 2, 3)))
            if self.rng.random() < 0.05:
                kinds = (*kinds, "connection")
        found = {NAMES[kind]: self._value(kind, folder) for kind in kinds}
        if self.rng.random() < 0.05:
            found[NAMES[self.rng.choice(list(kinds))]] = None  # says that nothing is said
        return found

    def _key_folder(self, document: Document) -> str | None:
        """The folder to which key files of a document are relative; None where that is moot."""
        return None if document.how == "json_stdin" or "/17-" in document.path else document.folder

    def _document(self, yaml: bool = False) -> Document:
        fit = [document for document in self.case.documents if not yaml or document.how == "yaml"]
        return self.rng.choice(fit)

    def _body(self, document: Document, name: str | None = None) -> tuple[str, Body]:
        """An occurrence of a group: any, or one of that name, made where there is none."""
        found = [one for one in document.bodies().values() if name in (None, one[0])]
        if name is None and found:
            return self.rng.choice(found)
        if found and (self.rng.random() < 0.7 or name in document.groups):
            return self.rng.choice(found)
        assert name is not None
        body = Body()
        document.groups[name] = body
        return name, body

    def _list(self, body: Body, host: str, variables: Variables | None = None) -> None:
        """Add a host to a group without null, and without losing what it has there."""
        there = body.hosts.get(host)
        if isinstance(there, Shared) or (there and any(isinstance(k, Merge) for k in there)):
            return
        body.hosts[host] = {**(there or {}), **(variables or {"rack": self._number()})}

    def _maps(self, document: Document, group_vars: bool = True) -> list[Variables]:
        """The mappings of variables of a document that can take more of them."""
        found: list[Any] = []
        for _, body in document.bodies().values():
            found += [it for it in body.hosts.values() if isinstance(it, dict) and it]
            if group_vars and body.vars:
                found.append(body.vars)
        return found

    def _named_hosts(self) -> list[str]:
        """The hosts that are there by now, those of ranges among them."""
        found = dict.fromkeys(self.hosts[len(HOSTS) :])
        for document in self.case.documents:
            for _, body in document.bodies().values():
                found.update(dict.fromkeys(key for key in body.hosts if not set("[:") & set(key)))
        return list(found)

    def _base(self, document: Document) -> None:
        """Two groups of two hosts each, with variables of nobody's and a few of a connection."""
        names = self.rng.sample(self.order, 2)
        free = self.rng.sample(HOSTS, 4)
        for name in names:
            body = Body()
            for _ in range(2):
                own = self.rng.random() < 0.3
                folder = self._key_folder(document)
                self._list(body, free.pop(), self._connection(folder) if own else None)
            document.groups[name] = body
