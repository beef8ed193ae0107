"""Host keys as an inventory pins them."""

import base64
import binascii
import re

_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


def host_key(line: str) -> str | None:
    """`TYPE BASE64` without its comment, or a fingerprint; None where it is neither."""
    line = line.strip()
    if _FINGERPRINT.fullmatch(line):
        return line
    parts = line.split(None, 2)
    if len(parts) < 2 or "\n" in line:
        return None
    try:
        blob = base64.b64decode(parts[1], validate=True)
    except binascii.Error:
        return None
    kind = parts[0].encode()
    named = blob.startswith(len(kind).to_bytes(4, "big") + kind) and len(blob) > 4 + len(kind)
    return f"{parts[0]} {parts[1]}" if named else None
