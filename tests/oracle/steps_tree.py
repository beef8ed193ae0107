"""The constructs of hosts and groups, as steps that a case grows by."""

from collections.abc import Collection

from tests.oracle.case import Body, Document
from tests.oracle.emit import Shared
from tests.oracle.ground import KINDS, Ground

RANGES: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "range_padding": (
        ("p[08:11]", ("p08", "p09", "p10", "p11")),
        ("p[001:003].x", ("p001.x", "p002.x", "p003.x")),
    ),
    "range_step": (
        ("s[1:9:3]", ("s1", "s4", "s7")),
        ("s[00:10:5]", ("s00", "s05", "s10")),
        ("s[a:g:3]", ("sa", "sd", "sg")),
    ),
    "range_letters": (("l[a:c]", ("la", "lb", "lc")), ("l-[X:Z]", ("l-X", "l-Y", "l-Z"))),
    "range_several": (
        ("r[1:2]-[a:b]", ("r1-a", "r1-b", "r2-a", "r2-b")),
        ("r[a:b][09:10].x", ("ra09.x", "ra10.x", "rb09.x", "rb10.x")),
    ),
}


class TreeSteps(Ground):
    """Each step adds one construct; none but documented ones add another."""

    def _children(self, _: str) -> None:
        document = self._document()
        for _ in range(self.rng.choice((1, 2))):
            name = self.order[self.rng.randrange(len(self.order) - 1)]
            self._descend(document, name, 1)

    def _nested(self, _: str) -> None:
        document = self._document()
        start = self.rng.randrange(len(self.order) - 3)
        self._descend(document, self.order[start], self.rng.choice((2, 3)))

    def _descend(self, document: Document, name: str, levels: int) -> str:
        """Hang `levels` groups below that of `name`; the lowest has hosts, maybe all have."""
        _, body = self._body(document, name)
        at = self.order.index(name)
        child = self.rng.choice(self.order[at + 1 : len(self.order) - levels + 1])
        inner = body.children.get(child)
        if isinstance(inner, Shared):
            inner = inner.value
        if inner is None and (child not in body.children or self.rng.random() < 0.5):
            if self.rng.random() < 0.6:
                inner = Body()
                body.children[child] = inner
            else:
                body.children.setdefault(child, None)
        if inner is None:
            _, inner = self._body(document, child)
        if levels > 1:
            self._descend_into(document, child, inner, levels - 1)
        else:
            self._list(inner, self._host())
        if self.rng.random() < 0.4:
            self._list(inner, self._host())
        return child

    def _descend_into(self, document: Document, name: str, body: Body, levels: int) -> None:
        """As `_descend`, from that very occurrence of a group."""
        at = self.order.index(name)
        child = self.rng.choice(self.order[at + 1 : len(self.order) - levels + 1])
        inner = body.children.get(child)
        if not isinstance(inner, Body):
            inner = Body()
            body.children[child] = inner
        if levels > 1:
            self._descend_into(document, child, inner, levels - 1)
        self._list(inner, self._host())

    def _null_host(self, _: str) -> None:
        document = self._document(yaml=True)
        for _ in range(2):
            _, body = self._body(document)
            body.hosts.setdefault(self._host(), None)
        if self.rng.random() < 0.3:
            document.groups.setdefault(
                self.rng.choice(self.order), Body(hosts={self._host(): None})
            )
        if self.rng.random() < 0.3:
            document.groups.setdefault(self.rng.choice(self.order), None)

    def _range(self, name: str) -> None:
        document = self._document(yaml=True)
        _, body = self._body(document)
        key, names = self.rng.choice(RANGES[name])
        own = self.rng.random() < 0.5
        folder = self._key_folder(document)
        body.hosts[key] = self._connection(folder) if own else {"rack": self._number()}
        self.hosts += names
        self.focus = self.rng.choice((self.focus, names[-1]))
        if self.rng.random() < 0.5:  # and one of them by its name, before or after
            _, other = self._body(document)
            self._list(other, self.rng.choice(names), self._connection(folder, ["user"]))

    def _all(self, _: str) -> None:
        document = self._document()
        _, body = self._body(document, "all")
        body.vars.update(self._connection(self._key_folder(document), ("user", "port")))
        for _ in range(self.rng.choice((0, 1, 2))):
            self._list(body, self._host())
        if self.rng.random() < 0.3:
            body.children.setdefault("ungrouped", None)
        for name in self.rng.sample(list(document.groups), 1):
            if name not in ("all", "ungrouped"):
                body.children[name] = document.groups.pop(name)

    def _ungrouped(self, _: str) -> None:
        document = self._document()
        _, body = self._body(document, "ungrouped")
        self._list(body, f"loner{self._number()}")
        self._list(body, self._host())
        if self.rng.random() < 0.7:
            body.vars.update(self._connection(self._key_folder(document), ("user", "host")))

    def _rivals(self, names: Collection[str], kinds: Collection[str]) -> None:
        """Groups that say the same variables, each its own values, of a host that says none."""
        host = f"calm{self._number()}" if self.rng.random() < 0.5 else self._host()
        for name in names:
            document = self._document()
            _, body = self._body(document, name)
            body.vars.update(self._connection(self._key_folder(document), kinds))
            self._list(body, host)

    def _by_depth(self, _: str) -> None:
        document = self._document()
        parent = self.order[self.rng.randrange(len(self.order) - 1)]
        child = self._descend(document, parent, 1)
        kinds = self.rng.sample(KINDS[:4], 2)
        others = self.rng.sample(self.order, 1) if self.rng.random() < 0.5 else []
        self._rivals([parent, child, *others], kinds)

    def _by_name(self, _: str) -> None:
        self._rivals(self.rng.sample(self.order, 3), self.rng.sample(KINDS[:4], 2))

    def _by_priority(self, _: str) -> None:
        low, *rest = sorted(self.rng.sample(self.order, 3))
        if "children" in self.wanted and self.rng.random() < 0.5:  # a priority above a depth
            low = self.order[self.rng.randrange(len(self.order) - 1)]
            rest = [self._descend(self._document(), low, 1)]
        self._rivals([low, *rest], self.rng.sample(KINDS[:4], 2))
        for name in (low, *self.rng.sample(rest, self.rng.choice((0, 1)))):
            _, body = self._body(self._document(), name)
            body.vars["ansible_group_priority"] = self.rng.choice((2, 10, "7", 0, -1, 99))

    def _many_groups(self, _: str) -> None:
        host = self._host()
        for name in self.rng.sample(self.order, self.rng.choice((3, 4))):
            document = self._document()
            _, body = self._body(document, name)
            own = self.rng.random() < 0.4
            folder = self._key_folder(document)
            self._list(body, host, self._connection(folder, ["user"]) if own else None)

    def _same_name(self, _: str) -> None:
        """A host that is named as a group is; what is said of it is said of the group.

        It is in some group: else Ansible would take the group for the one without a group.
        """
        document = self._document()
        names = [name for name, _ in document.bodies().values() if name not in ("all", "ungrouped")]
        name = self.rng.choice((*names, self.rng.choice(self.order)))
        _, body = self._body(document, self.rng.choice(names))
        own = self._connection(None) if "vars" in self.wanted else None
        self._list(body, name, own)
        self.hosts.append(name)

    def _port_key(self, _: str) -> None:
        document = self._document(yaml=True)
        for _ in range(2):
            _, body = self._body(document)
            number = self._number()
            host = self.rng.choice(
                (self._host(), f"key{number}", f"k{number}-[1:2]", f"[2001:db8::{number}]")
            )
            own = self.rng.random()
            folder = self._key_folder(document)
            body.hosts[f"{host}:{3000 + number}"] = (
                self._connection(folder, ["port"]) if own < 0.3 else {"rack": number}
            )
