"""Mutants of our resolver: one small change of its text each, put in place of what is there."""

import importlib
import inspect
import pkgutil
import textwrap
from dataclasses import dataclass
from typing import Any

import pytest

import fleet.inventory

_PACKAGE = "fleet.inventory"


@dataclass(frozen=True, slots=True)
class Mutant:
    """In `where`, `MODULE:NAME` of a function or constant, `old` texts are replaced by `new`."""

    name: str
    where: str
    changes: tuple[tuple[str, str], ...]

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Replace the function or the constant, wherever it was imported, until the test ends.

        What is no longer there to be replaced is an error: then the mutant has to follow.
        """
        module_name, _, path = self.where.partition(":")
        module = importlib.import_module(f"{_PACKAGE}{module_name and '.' + module_name}")
        owner: Any = module
        *owners, attribute = path.split(".")
        for name in owners:
            owner = getattr(owner, name)
        original = inspect.getattr_static(owner, attribute)
        if not callable(original):
            self._install_constant(monkeypatch, module, attribute, original)
            return
        text = textwrap.dedent(inspect.getsource(original))
        names: dict[str, Any] = {}
        code = compile(self._changed(text), f"<mutant {self.name}>", "exec", dont_inherit=True)
        exec(code, module.__dict__, names)
        if owners:
            monkeypatch.setattr(owner, attribute, names[attribute])
        else:
            _replace(monkeypatch, original, names[attribute])

    def _install_constant(
        self, monkeypatch: pytest.MonkeyPatch, module: Any, attribute: str, original: Any
    ) -> None:
        ((old, new),) = self.changes
        assert repr(original) == old, f"{self.where} is {original!r}, not {old}: renew the mutant"
        replaced = _replace(monkeypatch, original, eval(new, dict(module.__dict__)))
        assert replaced, f"{self.where} is nowhere to be found by its identity"

    def _changed(self, text: str) -> str:
        for old, new in self.changes:
            count = text.count(old)
            assert count == 1, f"{self.where} has {old!r} {count} times, not once: renew the mutant"
            text = text.replace(old, new)
        return text


def _replace(monkeypatch: pytest.MonkeyPatch, original: Any, mutant: Any) -> int:
    """Put `mutant` in place of `original` in every module of the package; how often that was."""
    count = 0
    for info in pkgutil.iter_modules(fleet.inventory.__path__, f"{_PACKAGE}."):
        importlib.import_module(info.name)
    import sys

    for name, module in list(sys.modules.items()):
        if name == _PACKAGE or name.startswith(f"{_PACKAGE}."):
            for attribute, value in list(vars(module).items()):
                if value is original:
                    monkeypatch.setattr(module, attribute, mutant)
                    count += 1
    return count


def _one(name: str, where: str, old: str, new: str) -> Mutant:
    return Mutant(name, where, ((old, new),))


_SORTED = "(g.depth, g.priority, g.name)"

MUTANTS = (
    _one("priority ignored", "tree:Tree._of_groups", _SORTED, "(g.depth, g.name)"),
    _one("depth ignored", "tree:Tree._of_groups", _SORTED, "(g.priority, g.name)"),
    _one("priority before depth", "tree:Tree._of_groups", _SORTED, "(g.priority, g.depth, g.name)"),
    _one(
        "names backwards",
        "tree:Tree._of_groups",
        _SORTED,
        "(g.depth, g.priority, [-ord(c) for c in g.name])",
    ),
    _one(
        "variables not inherited",
        "tree:Tree._of_groups",
        "waiting += found[name].parents",
        "found['all'] = self.groups['all']",
    ),
    _one(
        "group_vars/all above all others",
        "tree:Tree._of_groups",
        "(*every.files, *sorted(files, key=lambda file: file[0]))",
        "(*sorted(files, key=lambda file: file[0]), *every.files)",
    ),
    _one(
        "group_vars/all below the groups of the inventory",
        "tree:Tree._of_groups",
        "merged: Variables = {}",
        "merged = {}\n    for _, layer in every.files:\n        merged |= layer.known\n"
        "    layers = layers[len(every.files):]",
    ),
    _one(
        "group_vars by group before source",
        "tree:Tree._of_groups",
        "sorted(files, key=lambda file: file[0])",
        "files",
    ),
    _one(
        "depth is the shortest way",
        "tree:Tree._find_depths",
        "max(child.depth, ",
        "min(child.depth or 99, ",
    ),
    Mutant(
        "children's hosts before a group's own",
        "tree:Tree.members",
        (
            ("found = dict(self.groups[name].hosts)", "found: Names = {}"),
            ("return tuple(found)", "return tuple(found | self.groups[name].hosts)"),
        ),
    ),
    _one(
        "ungrouped kept though grouped",
        "tree:Tree.settle",
        "ungrouped.hosts.pop(name, None)",
        "pass",
    ),
    _one(
        "host_vars below the inventory's",
        "vars_files:VarsFiles.add",
        "entry.say(layer)",
        "entry.variables = layer.known | entry.variables",
    ),
    _one(
        "key files relative to group_vars",
        "vars_files:VarsFiles._of",
        "self._bases[path] = folder",
        "self._bases[path] = os.path.dirname(path)",
    ),
    _one(
        "files of a vars folder backwards",
        "vars_files:_below",
        "sorted(_listing(folder))",
        "sorted(_listing(folder), reverse=True)",
    ),
    _one(
        "the last extension counts",
        "vars_files:_EXTENSIONS",
        "('', '.yml', '.yaml', '.json')",
        "('.json', '.yaml', '.yml', '')",
    ),
    _one("range without its end", "address:_sequence", "int(end) + 1", "int(end)"),
    _one("range without padding", "address:expand", ".zfill(width)", ""),
    _one("range without its step", "address:_sequence", "int(end) + 1, step)", "int(end) + 1)"),
    _one(
        "letters in upper case",
        "address:_sequence",
        "letters.index(end) + 1 : step]",
        "letters.index(end) + 1 : step].upper()",
    ),
    _one(
        "the first range runs fastest",
        "address:expand",
        "itertools.product(*filled)",
        "(chosen[::-1] for chosen in itertools.product(*filled[::-1]))",
    ),
    _one("the first -i counts", ":_tree", "for source in sources:", "for source in sources[::-1]:"),
    _one(
        "a folder backwards",
        "sources:_files",
        "key=os.fsencode)",
        "key=os.fsencode, reverse=True)",
    ),
    _one("merged keys above own", "nodes:Mappings._read", "merged | own", "own | merged"),
    _one(
        "the port of a key counts each time",
        "walk:Walker._host",
        "if new and port is not None:",
        "if port is not None:",
    ),
    _one(
        "templates of templates left",
        "templates:_variable",
        "evaluate(node, lookup, (*chain, name))",
        "node",
    ),
    _one(
        "templates read the group before the host",
        "tree:Effective.value",
        "(self.every, self.shared.every)",
        "(self.shared.every, self.every)",
    ),
    _one("hostvars of JSON ignored", "listing:Listing.add", "self._hostvars(*meta)", "pass"),
    _one(
        "a priority in group_vars counts",
        "vars_files:VarsFiles.add",
        "layer.known.pop(PRIORITY, None)",
        "group.priority = 50 if layer.known.pop(PRIORITY, None) else group.priority",
    ),
    _one(
        "the files of an editor are read",
        "sources:_files",
        "if not _IGNORED.search(name):",
        "if not name.endswith('_vars'):",
    ),
    _one(
        "ansible_ssh_user below ansible_user",
        "variables:USER",
        "('ansible_user', 'ansible_ssh_user')",
        "('ansible_ssh_user', 'ansible_user')",
    ),
)
