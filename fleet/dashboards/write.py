"""Grafana's files on the disk."""

import re
from collections.abc import Mapping
from pathlib import Path

from fleet.errors import UsageError
from fleet.whole_file import write_whole


def check_uid(uid: str) -> str:
    """A data source's UID as Grafana allows it; raises `UsageError` for any other text."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", uid):
        raise UsageError(
            f"--datasource: expected a UID of at most 40 letters, digits, - and _, not {uid!r} "
            "(it stands in the address of the data source's page in Grafana)"
        )
    return uid


def check_name(name: str) -> str:
    """A table's name that means nothing to Grafana where it stands in a question; raises
    `UsageError` for any other.
    """
    if "$" in name or "@" in name:
        raise UsageError(
            f"a table named {name!r} cannot stand in a dashboard: Grafana takes $ for the start of "
            "a variable; a table without $ and @ can"
        )
    return name


def write(files: Mapping[str, str], folder: Path, force: bool) -> list[Path]:
    """Write texts by their paths below a folder → all paths, in order.

    Raises `UsageError` before anything is written where a file of other contents would be replaced
    and `force` is not given: somebody may have changed it.
    """
    targets = {folder / path: text for path, text in files.items()}
    other = [path for path, text in targets.items() if _is_other(path, text)]
    if other and not force:
        raise UsageError(
            f"{other[0]}: has other contents ({len(other)} of {len(targets)} files have); "
            "--force replaces them, another --out keeps them"
        )
    for path, text in targets.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(str(path), text.encode())
        except OSError as error:
            raise _not_there(path, error) from None
    return sorted(targets)


def _is_other(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() != text.encode()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _not_there(path, error) from None


def _not_there(path: Path, error: OSError) -> UsageError:
    """The error of a file that cannot be looked at or written: a full disk names none itself."""
    return UsageError(f"{path}: {error.strerror or error}")
