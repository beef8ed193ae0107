"""The constructs of variables, as steps that a case grows by."""

from collections.abc import Callable, Collection
from typing import Any

from tests.oracle.case import Body, Document
from tests.oracle.emit import Merge, Shared, Tagged
from tests.oracle.ground import KINDS, NAMES, Ground
from tests.oracle.layout import folders

VAULT = "$ANSIBLE_VAULT;1.1;AES256\n62313365396662343061393464336163\n3833643764663061"
FORMS = ("yml", "yaml", "json")  # the first of them that is there counts
SSH_NAMES = {
    "host": "ansible_ssh_host",
    "port": "ansible_ssh_port",
    "user": "ansible_ssh_user",
    "key": "ansible_private_key_file",
}


class VariableSteps(Ground):
    """Each step adds one construct; none but documented ones add another."""

    def _vars(self, _: str) -> None:
        for _ in range(self.rng.choice((1, 2, 3))):
            document = self._document()
            _, body = self._body(document)
            body.vars.update(self._connection(self._key_folder(document)))

    def _vars_file(self, name: str) -> None:
        """A file or folder beside a source, and now and then a decoy that does not count."""
        where, _, form = name.rpartition("_")
        beside = folders(self.case)
        if where == "group_vars" and len(beside) > 1 and self.rng.random() < 0.6:
            self._rival_files(self.rng.sample(beside, 2), form)
        folder = self.rng.choice(beside)
        for _ in range(self.rng.choice((1, 1, 2))):
            stem = self._stem(folder, where)
            if form == "folder":
                names = ("10.yml", "20.yaml", "30.json", "40", "sub/50.yml", "5.yml")
                for file in self.rng.sample(names, 2):
                    self._say_in(f"{stem}/{file}", folder)
                if self.rng.random() < 0.3:
                    junk = self.rng.choice(("x.txt", ".y.yml", "z.yml~"))
                    self.case.junk[f"{stem}/{junk}"] = "ansible_user: decoy\n"
            else:
                self._say_in(stem if form == "bare" else f"{stem}.{form}", folder)
            later = FORMS[FORMS.index(form) + 1 :] if form in FORMS else FORMS
            if later and self.rng.random() < 0.3:
                decoy = f"{stem}.{self.rng.choice(later)}"
                self.case.junk[decoy] = '{"ansible_user": "decoy", "ansible_port": 6}\n'

    def _rival_files(self, beside: list[str], form: str) -> None:
        """Two groups of one host, of which two sources say the same variables."""
        host = f"torn{self._number()}"
        for folder, name in zip(beside, self.rng.sample(self.order, 2), strict=True):
            stem = f"{folder}/group_vars/{name}"
            there = [*self.case.vars_files, *self.case.junk]
            if any(path.startswith(stem) for path in there):
                continue
            self._list(self._body(self._document(), name)[1], host)
            path = {"bare": stem, "folder": f"{stem}/x.yml"}.get(form, f"{stem}.{form}")
            self._say_in(path, folder, ("user", "port"))

    def _stem(self, folder: str, where: str) -> str:
        """The path without extension of a group's or host's file that is not there yet."""
        if where == "host_vars":
            names = self._named_hosts()
            self.rng.shuffle(names)
            names = [self.focus, *names] if self.focus in names else names
        else:
            names = [n for d in self.case.documents for n, _ in d.bodies().values()]
            self.rng.shuffle(names)
            special = [name for name in ("all", "ungrouped") if name in self.wanted]
            names = special + names if self.rng.random() < 0.6 else names
        there = [*self.case.vars_files, *self.case.junk]
        for name in names:
            stem = f"{folder}/{where}/{name}"
            if not any(path.startswith(stem) for path in there):
                return stem
        name = f"fresh{self._number()}"
        document = self._document()
        if where == "host_vars":
            self._list(self._body(document)[1], name)
        else:
            self._list(self._body(document, name)[1], self._host())
        return f"{folder}/{where}/{name}"

    def _say_in(self, path: str, folder: str, kinds: Collection[str] = ()) -> None:
        variables = self.case.vars_files.setdefault(path, {})
        variables.update(self._connection(folder, kinds))
        if "by_priority" in self.wanted and self.rng.random() < 0.2:
            variables["ansible_group_priority"] = 50

    def _template(self, _: str) -> None:
        document = self._document()
        for kind in self.rng.sample(KINDS, self.rng.choice((1, 2))):
            name = f"our_{kind}{self._number()}"
            places = self._maps(document, group_vars="vars" in self.wanted)
            around, value = self._around(kind)
            text = around % self.rng.choice((f"{{{{ {name} }}}}", f"{{{{{name}}}}}"))
            if kind == "host" and self.rng.random() < 0.3:
                text = "{{ inventory_hostname }}.example.com"
            self.rng.choice(places)[NAMES[kind]] = text
            spaces = [*places, *self.case.vars_files.values()]
            if "vars" in self.wanted or "all" in self.wanted:
                spaces += [
                    body.vars for d in self.case.documents for _, body in d.bodies().values()
                ]
            if self._shadows() or self.rng.random() < 0.9:  # else it is undefined, maybe
                for place in places:  # a value for everyone who may meet the template
                    place.setdefault(name, value())
            chosen = self.rng.choice(spaces)
            chosen[name] = value()
            if self.rng.random() < 0.3:  # a template of a template
                chosen[name], chosen[f"{name}_more"] = f"{{{{ {name}_more }}}}", value()

    def _shadows(self) -> bool:
        """Whether a variable may have another name beside it that counts in its place.

        Ansible then fails for what is unreadable and does not count; we do not.
        """
        return "ssh_names" in self.wanted

    def _around(self, kind: str) -> tuple[str, Callable[[], Any]]:
        """What stands around a template, and values for it that make a whole."""
        texts = {"host": "%s.example.com", "user": "svc-%s", "key": "/keys/%s", "port": "2%s"}
        if kind in texts and self.rng.random() < 0.3:
            return texts[kind], lambda: self.rng.choice(
                (100 + self._number(), str(200 + self._number()))
            )
        return "%s", lambda: self._value(kind, None)

    def _opaque(self, name: str) -> None:
        values: dict[str, tuple[Any, ...]] = {
            "opaque_vault": (Tagged("!vault", VAULT), Tagged("!unsafe", "{{ no }}")),
            "opaque_jinja": ("{{ x | default('y') }}", "{% if a %}b{% endif %}", "{{ broken"),
            "opaque_nested": ({"a": {"b": [1, {"c": None}]}}, [["x"], {"y": "{{ z }}"}], [], {}),
        }
        for _ in range(2):
            document = self._document()
            places = self._maps(document)
            if name != "opaque_vault":
                places += list(self.case.vars_files.values())
            self.rng.choice(places)[f"other_{self._number()}"] = self.rng.choice(values[name])
        if name == "opaque_vault" and not self._shadows() and self.rng.random() < 0.15:
            place = self.rng.choice(self._maps(self._document()))
            place[self.rng.choice(("ansible_user", "ansible_host"))] = Tagged("!vault", VAULT)

    def _merge_key(self, _: str) -> None:
        document = self._document(yaml=True)
        folder = self._key_folder(document)
        kinds = self.rng.sample(KINDS, 4)  # bases that contradict each other: PyYAML's versions do
        bases = [
            Shared(f"base{self._number()}", self._connection(folder, some))
            for some in (kinds[:2], kinds[2:])
        ]
        holders = [self._body(document)[1] for _ in range(2)]
        for number, base in enumerate(bases):
            holders[number].hosts[f"based{self._number()}"] = base
        merged: Any = self.rng.choice((bases[0], bases, bases[::-1]))
        own = self._connection(folder, self.rng.sample(KINDS, 1))
        _, body = self._body(document)
        body.hosts[self._host()] = {Merge(): merged, **own}
        if "vars" in self.wanted and self.rng.random() < 0.6:
            _, body = self._body(document)
            body.vars = {Merge(): bases[0], **body.vars}

    def _anchor(self, _: str) -> None:
        document = self._document(yaml=True)
        folder = self._key_folder(document)
        same = Shared(f"same{self._number()}", self._connection(folder))
        for host in (self._host(), f"twin{self._number()}", f"twin{self._number()}"):
            _, body = self._body(document)
            body.hosts[host] = same
        user = Shared(f"user{self._number()}", self._value("user", None))
        for place in self.rng.sample(self._maps(document), 2):
            place[self.rng.choice(("ansible_user", "other"))] = user
        name = self.rng.choice([n for n in document.groups if n in self.order])
        group = document.groups[name]
        if isinstance(group, Body) and self.rng.random() < 0.6:
            self._share_group(document, name, group)

    def _share_group(self, document: Document, name: str, group: Body) -> None:
        """One body under two groups, or under one group in two places."""
        document.groups[name] = shared = Shared(f"group{self._number()}", group)
        free = [n for n in self.order if n not in document.groups and n not in group.children]
        above = self.order[: self.order.index(name)]
        if "children" in self.wanted and above:
            if "vars" in self.wanted and self.rng.random() < 0.5:
                group.vars.update(self._connection(None, ("user", "port")))
                _, other = self._body(document, self.rng.choice(above))
                if name not in other.children:
                    other.children[name] = Body(vars=self._connection(None, ("user",)))
            _, parent = self._body(document, self.rng.choice(above))
            if parent.children.get(name) is None:
                parent.children[name] = shared
        elif free and not group.children:
            document.groups[self.rng.choice(free)] = shared

    def _ssh_names(self, _: str) -> None:
        for _ in range(2):
            document = self._document()
            places = self._maps(document, group_vars="vars" in self.wanted)
            places += self.case.vars_files.values()
            for kind in self.rng.sample(list(SSH_NAMES), 2):
                self.rng.choice(places)[SSH_NAMES[kind]] = self._value(kind, None)
