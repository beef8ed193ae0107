"""Values → YAML text, with the anchors, merge keys and tags that a plain dumper does not write."""

import json
import random
import re
from dataclasses import dataclass
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_/~][\w./~-]*")
_AMBIGUOUS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "~"}


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """A value that stands under an anchor where it is first met, and as an alias afterwards."""

    name: str
    value: Any


@dataclass(frozen=True, slots=True)
class Tagged:
    """A scalar under a tag of Ansible's."""

    tag: str
    text: str


class Merge:
    """The key `<<`; every instance is a key of its own."""


def emit(value: dict[Any, Any], rng: random.Random) -> str:
    """The document that holds `value`; `rng` chooses between block and flow style, and quotes."""
    return _Emitter(rng).block(value, 0)


class _Emitter:
    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._met: set[str] = set()

    def block(self, value: dict[Any, Any], indent: int) -> str:
        lines = []
        for key, inner in value.items():
            name = "<<" if isinstance(key, Merge) else self._scalar(key)
            lines.append(f"{' ' * indent}{name}:{self._after(inner, indent + 2)}")
        return "".join(lines)

    def _after(self, value: Any, indent: int) -> str:
        """What follows a key and its colon, line end included."""
        anchor = ""
        if isinstance(value, Shared):
            if value.name in self._met:
                return f" *{value.name}\n"
            self._met.add(value.name)
            anchor, value = f" &{value.name}", value.value
        if isinstance(value, dict) and value and self._rng.random() < 0.8:
            return f"{anchor}\n{self.block(value, indent)}"
        if isinstance(value, Tagged) and "\n" in value.text:
            body = "".join(f"{' ' * indent}{line}\n" for line in value.text.splitlines())
            return f"{anchor} {value.tag} |\n{body}"
        if value is None and self._rng.random() < 0.7:
            return f"{anchor}\n"
        return f"{anchor} {self._flow(value)}\n"

    def _flow(self, value: Any) -> str:
        if isinstance(value, Shared):
            if value.name in self._met:
                return f"*{value.name}"
            self._met.add(value.name)
            return f"&{value.name} {self._flow(value.value)}"
        if isinstance(value, dict):
            return "{" + ", ".join(self._pair(*pair) for pair in value.items()) + "}"
        if isinstance(value, list | tuple):
            return "[" + ", ".join(self._flow(item) for item in value) + "]"
        return self._scalar(value)

    def _pair(self, key: Any, value: Any) -> str:
        name = "<<" if isinstance(key, Merge) else self._scalar(key)
        return f"{name}: {self._flow(value)}"

    def _scalar(self, value: Any) -> str:
        if isinstance(value, Tagged):
            return f"{value.tag} {json.dumps(value.text)}"
        if isinstance(value, bool):
            return self._rng.choice(("true", "yes", "True") if value else ("false", "no", "off"))
        if value is None:
            return self._rng.choice(("null", "~"))
        if isinstance(value, int | float):
            return str(value)
        if _PLAIN.fullmatch(value) and value.lower() not in _AMBIGUOUS:
            return value
        return json.dumps(value) if self._rng.random() < 0.5 or "'" in value else f"'{value}'"
