"""Host keys as an inventory pins them."""

import re

from fleet.key_text import blob_of

_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


def host_key(line: str) -> str | None:
    """`TYPE BASE64` without its comment, or a fingerprint; None where it is neither."""
    line = line.strip()
    if _FINGERPRINT.fullmatch(line):
        return line
    parts = line.split(None, 2)
    if len(parts) < 2 or "\n" in line:
        return None
    whole = blob_of(parts[0], parts[1]) is not None
    return f"{parts[0]} {parts[1]}" if whole else None
