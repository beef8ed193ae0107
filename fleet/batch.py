"""A batch: whole visits of one sweep, as they stand in a file.

A line with the format's version and a checksum of all that follows, a line of JSON (job, sweep,
target, tables with their columns), then ILP as it is sent.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fleet.errors import BadBatch
from fleet.ilp_text import Part

FORMAT = 1
_MAGIC = b"fleet-batch"


@dataclass(frozen=True, slots=True)
class Target:
    """Where rows go, and nowhere else: a QuestDB and its tables. No user, no secret: those may
    change while rows wait.
    """

    scheme: str
    host: str
    port: int
    tables: tuple[str, ...]

    @property
    def mark(self) -> str:
        """Eight digits that stand for this target in names of files."""
        # Hosts and QuestDB's tables are the same in any case of letters.
        words = [self.scheme, self.host.lower(), str(self.port), *map(str.lower, self.tables)]
        return hashlib.sha256("\0".join(words).encode()).hexdigest()[:8]

    def as_dict(self) -> dict[str, Any]:
        """As it stands in files."""
        return {
            "scheme": self.scheme,
            "host": self.host,
            "port": self.port,
            "tables": list(self.tables),
        }

    @classmethod
    def of(cls, said: dict[str, Any]) -> "Target":
        """What a file says."""
        return cls(said["scheme"], said["host"], said["port"], tuple(said["tables"]))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port} {','.join(self.tables)}"


@dataclass(frozen=True, slots=True)
class Batch:
    """Whole visits of one sweep of a job, for one target: a part for each table."""

    target: Target
    job: str
    sweep: datetime
    parts: tuple[Part, ...]

    @property
    def rows(self) -> int:
        """Of all its tables."""
        return sum(part.rows for part in self.parts)

    def encoded(self) -> bytes:
        """The bytes of its file."""
        header = {
            "job": self.job,
            "sweep": self.sweep.isoformat(),
            "target": self.target.as_dict(),
            "parts": [
                {
                    "table": part.table,
                    "columns": part.columns,
                    "rows": part.rows,
                    "bytes": len(part.body),
                }
                for part in self.parts
            ],
        }
        rest = b"".join((json.dumps(header).encode(), b"\n", *(part.body for part in self.parts)))
        return b"%s %d %s\n%s" % (_MAGIC, FORMAT, _checksum(rest), rest)

    @classmethod
    def decoded(cls, data: bytes) -> "Batch":
        """The batch of a file's bytes; raises `BadBatch` when one of them is not as written."""
        first, _, rest = data.partition(b"\n")
        words = first.split(b" ")
        if len(words) != 3 or words[0] != _MAGIC:
            raise BadBatch("it does not begin as a batch does")
        if words[2] != _checksum(rest):
            raise BadBatch("its checksum differs: it was cut or changed")
        if words[1] != b"%d" % FORMAT:
            raise BadBatch(f"its format is {words[1].decode(errors='replace')}, not {FORMAT}")
        header, _, body = rest.partition(b"\n")
        try:
            return cls._made(json.loads(header), body)
        except (ValueError, KeyError, TypeError) as error:
            raise BadBatch(f"its header cannot be used: {error!r}") from None

    @classmethod
    def _made(cls, said: dict[str, Any], body: bytes) -> "Batch":
        parts, start = [], 0
        for part in said["parts"]:
            end = start + part["bytes"]
            columns = tuple((name, kind) for name, kind in part["columns"])
            parts.append(Part(part["table"], columns, body[start:end], part["rows"]))
            start = end
        if start != len(body):
            raise ValueError(f"{len(body)} bytes of rows, not {start}")
        return cls(
            Target.of(said["target"]),
            said["job"],
            datetime.fromisoformat(said["sweep"]),
            tuple(parts),
        )


def _checksum(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).hexdigest().encode()
