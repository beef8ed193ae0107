"""Every error that `fleet` raises on purpose.

```
FleetError                  one clear sentence, an exit code
├── UsageError         2    an option, a setting or a pattern that cannot be used
│   ├── InventoryError 2    file, line, column: what is wrong and what was expected
│   └── SchemaError    2    a table that cannot take our rows as it stands
├── Locked             6    another run of the job is under way
└── QuestDBError       4    QuestDB did not take what it was given, and will not: stop
    ├── QuestDBUnreachable  nobody answered, no answer in time, a server in trouble: try again
    ├── RowRefused          one row of a request cannot be taken: leave it out
    ├── TooLarge            a request of this size is not taken: halve it
    └── TooManyRefused      so many rows of one batch that it is no matter of single rows
BadBatch                    a file of the spool that is none, or no longer
HostError                   one host's failure; a value in the end, never an exit
```
"""

from fleet.status import Phase, Status


class FleetError(Exception):
    """An error whose text is meant for the person who runs `fleet`."""

    exit_code = 1


class UsageError(FleetError):
    """An option, a setting, a pattern or a file of the user's that cannot be used."""

    exit_code = 2


def spelled(text: str) -> str:
    """`text` safe for a terminal and a line: what is not printable is spelled out."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode()
        for char in text
    )


class InventoryError(UsageError):
    """An inventory that cannot be read; `line` and `column` count from 1, or are None."""

    def __init__(
        self, file: str, message: str, line: int | None = None, column: int | None = None
    ) -> None:
        place = ":".join(str(part) for part in (file, line, column) if part is not None)
        super().__init__(spelled(f"{place}: {message}"))
        self.file, self.line, self.column = file, line, column


class SchemaError(UsageError):
    """A table of the server's that conflicts with ours; ends a run before any SSH."""


class Locked(FleetError):
    """Another run of the same job is under way."""

    exit_code = 6


class QuestDBError(FleetError):
    """QuestDB refused a statement or rows, with its reason; the same again would be refused."""

    exit_code = 4


class QuestDBUnreachable(QuestDBError):
    """QuestDB could not be reached, its answer never came, or it is in trouble for the moment."""


class RowRefused(QuestDBError):
    """QuestDB refused row number `line` (from 1) of a request, and with it the whole request;
    `reason` is its own text.
    """

    def __init__(self, message: str, line: int, reason: str) -> None:
        super().__init__(message)
        self.line, self.reason = line, reason


class TooLarge(QuestDBError):
    """A request is larger than QuestDB, or something before it, takes (413)."""


class TooManyRefused(QuestDBError):
    """More rows of one batch are refused than may be the fault of single rows."""


class BadBatch(Exception):
    """A file of the spool that is cut, changed or not ours; the text says how it was seen."""


class HostError(Exception):
    """Why one host could not be visited. Raised in transports, turned into a `Visit`. `via` names
    the bastion on the way to it.
    """

    def __init__(self, status: Status, phase: Phase, detail: str, via: str | None = None) -> None:
        super().__init__(f"{status} ({phase}): {detail}")
        self.status, self.phase, self.detail, self.via = status, phase, detail, via

    def anew(self, via: str | None = None) -> "HostError":
        """The same, to be raised by another thread; `via` counts where no bastion is named."""
        return HostError(self.status, self.phase, self.detail, self.via or via)
