"""One generated inventory: its sources before they are text, and the files that they become."""

import json
import os
import random
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.oracle.corners import Corner
from tests.oracle.emit import Shared, Tagged, emit

STDIN = "stdin/listing"
"""Stands among sources for standard input; for Ansible, an executable has this path."""

Variables = dict[Any, Any]


@dataclass(slots=True)
class Body:
    """What one occurrence of a group says; a child that is None is named and no more."""

    hosts: dict[Any, Any] = field(default_factory=dict)
    vars: Variables = field(default_factory=dict)
    children: dict[str, "Body | Shared | None"] = field(default_factory=dict)


@dataclass(slots=True)
class Document:
    """One file of groups: YAML, or JSON of `--list` that comes as `how` says."""

    path: str
    how: str = "yaml"  # or "json_file", "json_stdin", "json_program"
    groups: dict[str, Body | Shared | None] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """The folder in which it lies, among the files of the case."""
        return os.path.dirname(self.path)

    def bodies(self) -> dict[int, tuple[str, Body]]:
        """Every occurrence of a group that says something, by its identity."""
        found: dict[int, tuple[str, Body]] = {}

        def walk(groups: dict[str, Body | Shared | None]) -> None:
            for name, body in groups.items():
                plain = body.value if isinstance(body, Shared) else body
                if plain is not None and id(plain) not in found:
                    found[id(plain)] = (name, plain)
                    walk(plain.children)

        walk(self.groups)
        return found


@dataclass(slots=True)
class Case:
    """An inventory to be: `sources` are what `-i` names, `documents` what is found there."""

    seed: str
    sources: list[str] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)
    vars_files: dict[str, Variables] = field(default_factory=dict)
    junk: dict[str, str] = field(default_factory=dict)
    relative: dict[str, str] = field(default_factory=dict)  # a key file → the folder it is in
    used: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Files:
    """A case on disk, once for each side where the sides differ."""

    case: Case
    ours: tuple[str, ...]
    ansibles: tuple[str, ...]
    stdin: bytes
    base: str  # below which our files lie, and in which we are

    def shown(self) -> str:
        """Every file of ours, to be printed beside a failure."""
        root = Path(self.base)
        parts = [f"seed {self.case.seed!r}: -i {' -i '.join(self.ours)}"]
        for path in sorted(root.rglob("*")):
            if path.is_file():
                parts.append(f"--- {path.relative_to(root)}\n{path.read_text()}")
        if self.stdin:
            parts.append(f"--- standard input\n{self.stdin.decode()}")
        return "\n".join(parts)


def write(case: Case, folder: Path) -> Files:
    """Put a case on disk below `folder`.

    Ansible reads JSON of `--list` from executables only, so its copy has one wherever ours has
    a file, or standard input.
    """
    texts: dict[str, str] = dict(case.junk)
    programs: dict[str, str] = {}
    printed: dict[str, str] = {}
    stdin = b""
    rng = random.Random(f"text {case.seed}")
    for document in case.documents:
        if document.how == "yaml":
            groups = _plain(document.groups, rng)
            as_json = _is_json(groups) and rng.random() < 0.15
            texts[document.path] = json.dumps(groups) if as_json else emit(groups, rng)
            continue
        text = json.dumps(listing(document.groups), indent=rng.choice((None, 2)))
        printed[document.path] = text
        if document.how == "json_stdin":
            stdin = text.encode()
        elif document.how == "json_file":
            texts[document.path] = text
        else:
            programs[document.path] = text
    for path, variables in case.vars_files.items():
        as_json = path.endswith(".json") or (_is_json(variables) and rng.random() < 0.2)
        texts[path] = json.dumps(variables) if as_json else emit(variables, rng)
    ours = folder / "ours"
    _write(ours, texts, programs)
    ansibles = ours
    if printed and programs.keys() != printed.keys():
        ansibles = folder / "ansibles"
        _write(ansibles, {p: t for p, t in texts.items() if p not in printed}, printed)
    absolute = rng.random() < 0.7
    names = [str(ours / source) if absolute else source for source in case.sources]
    return Files(
        case,
        tuple(
            "-" if source == STDIN else name
            for source, name in zip(case.sources, names, strict=True)
        ),
        tuple(str(ansibles / source) for source in case.sources),
        stdin,
        str(ours),
    )


def _write(root: Path, texts: dict[str, str], programs: dict[str, str]) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    for path, text in programs.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#!/bin/sh\nprintf %s {shlex.quote(text)}\n")
        file.chmod(0o755)


def _plain(groups: dict[str, Body | Shared | None], rng: random.Random) -> dict[Any, Any]:
    """Groups as a mapping of YAML, the sections of each in any order."""
    shared: dict[int, Shared] = {}

    def one(body: Body | Shared | None) -> Any:
        if isinstance(body, Shared):
            if id(body) not in shared:
                shared[id(body)] = Shared(body.name, one(body.value))
            return shared[id(body)]
        if body is None:
            return None
        children = {name: one(child) for name, child in body.children.items()}
        sections = [("hosts", body.hosts), ("vars", body.vars), ("children", children)]
        rng.shuffle(sections)
        return {name: lone(name, value) for name, value in sections if value}

    def lone(section: str, value: Any) -> Any:
        """A name alone may stand for a mapping of it to nothing."""
        if section != "vars" and len(value) == 1 and rng.random() < 0.3:
            ((name, inner),) = value.items()
            return name if inner is None else value
        return value

    return {name: one(body) for name, body in groups.items()}


def _is_json(value: Any) -> bool:
    """Whether a value can be written as JSON."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(inner) for key, inner in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_json, value))
    return not isinstance(value, Shared | Tagged)


def listing(groups: dict[str, Body | Shared | None]) -> dict[str, Any]:
    """Groups as `ansible-inventory --list` prints them."""
    found: dict[str, dict[str, Any]] = {}
    hostvars: dict[str, Variables] = {}

    def walk(name: str, body: Body | None) -> None:
        entry = found.setdefault(name, {})
        if body is None:
            return
        for section, value in (("hosts", list(body.hosts)), ("children", list(body.children))):
            if value:
                entry[section] = [*entry.get(section, ()), *value]
        if body.vars:
            entry["vars"] = entry.get("vars", {}) | body.vars
        for host, variables in body.hosts.items():
            hostvars[host] = hostvars.get(host, {}) | (variables or {})
        for child, inner in body.children.items():
            assert not isinstance(inner, Shared)
            walk(child, inner)

    for name, body in groups.items():
        assert not isinstance(body, Shared)
        walk(name, body)
    filled = {name: _untagged(entry) for name, entry in found.items() if entry}
    meta = {name: _untagged(variables) for name, variables in hostvars.items() if variables}
    return {"_meta": {"hostvars": meta, "profile": "inventory_legacy"}, **filled}


def _untagged(value: Any) -> Any:
    """A value as JSON of Ansible's has it: tags are maps of one key."""
    if isinstance(value, dict):
        return {key: _untagged(inner) for key, inner in value.items()}
    if isinstance(value, Tagged):
        return {f"__ansible_{value.tag.removeprefix('!')}": value.text}
    return value


def write_corner(corner: Corner, folder: Path) -> Files:
    """Put an inventory that was written by hand on disk below `folder`."""
    texts = {path: text for path, text in corner.files.items() if not text.startswith("#!")}
    _write(folder, texts, {})
    for path, text in corner.files.items():
        if path not in texts:
            (folder / path).write_text(text)
            (folder / path).chmod(0o755)
    for path, target in corner.links.items():
        (folder / path).symlink_to(target)
    sources = tuple(f"{folder}/{source}" for source in corner.sources)
    return Files(Case("by hand"), sources, sources, b"", str(folder))
