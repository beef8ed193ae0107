"""Every error that `fleet` raises on purpose.

```
FleetError                  one clear sentence, an exit code
├── UsageError         2    an option, a setting or a pattern that cannot be used
│   ├── InventoryError 2    file, line, column: what is wrong and what was expected
│   └── SchemaError    2    a table that cannot take our rows as it stands
└── QuestDBError       4    QuestDB did not take what it was given
    └── QuestDBUnreachable  nobody answered, or no answer came in time
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


class InventoryError(UsageError):
    """An inventory that cannot be read; `line` and `column` count from 1, or are None."""

    def __init__(
        self, file: str, message: str, line: int | None = None, column: int | None = None
    ) -> None:
        place = ":".join(str(part) for part in (file, line, column) if part is not None)
        super().__init__(f"{place}: {message}")
        self.file, self.line, self.column = file, line, column


class SchemaError(UsageError):
    """A table of the server's that conflicts with ours; ends a run before any SSH."""


class QuestDBError(FleetError):
    """QuestDB refused a statement or rows, with its reason."""

    exit_code = 4


class QuestDBUnreachable(QuestDBError):
    """QuestDB could not be reached, or its answer never came."""


class HostError(Exception):
    """Why one host could not be visited. Raised in transports, turned into a `Visit`."""

    def __init__(self, status: Status, phase: Phase, detail: str) -> None:
        super().__init__(f"{status} ({phase}): {detail}")
        self.status, self.phase, self.detail = status, phase, detail
