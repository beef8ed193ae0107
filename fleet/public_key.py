"""A public key of the user's, as OpenSSH writes it to FILE.pub, read and checked."""

import base64
import binascii
from pathlib import Path

from fleet.errors import UsageError
from fleet.key_text import KINDS, fields_of

MAX_BYTES = 64 * 1024
_EXPECTED = "expected one line, TYPE BASE64 COMMENT, as ssh-keygen writes it to FILE.pub"


def public_key(file: str) -> str:
    """The one key of a file: `TYPE BASE64 COMMENT`, the comment left out where there is none."""
    lines = [
        (number, line.strip())
        for number, line in enumerate(_text(file).splitlines(), 1)
        if line.strip() and not line.startswith("#")
    ]
    if not lines:
        raise UsageError(f"{file}: no key in it; {_EXPECTED}")
    if len(lines) > 1:
        raise UsageError(f"{file}:{lines[1][0]}: more than one line; {_EXPECTED}")
    number, line = lines[0]
    kind, _, rest = line.partition(" ")
    body, _, comment = rest.strip().partition(" ")
    reason = _why_no_key(kind, body)
    if reason is not None:
        raise UsageError(f"{file}:{number}: {reason}")
    # It will stand in a file of another machine's, where one line is one key.
    kept = comment.strip() if comment.isprintable() else ""
    return f"{kind} {body} {kept}".rstrip()


def _text(file: str) -> str:
    try:
        with Path(file).open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        private = file.removesuffix(".pub")
        way = ""
        if file != private:
            way = f"; this writes it: ssh-keygen -y -f {private} > {file}"
        raise UsageError(f"{file}: no such file{way}") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{file}: {getattr(error, 'strerror', None) or error}") from None
    if b"PRIVATE KEY" in data:
        raise UsageError(
            f"{file}: a private key, which stays here; name the public one, {file}.pub"
        )
    if len(data) > MAX_BYTES:
        raise UsageError(f"{file}: more than {MAX_BYTES // 1024} KiB; {_EXPECTED}")
    return data.decode("utf-8", "replace")


def _why_no_key(kind: str, body: str) -> str | None:
    if "-cert-" in kind:
        return f"{kind[:60]!r} is a certificate; name the key that it was made for"
    if kind not in KINDS:
        types = ", ".join(KINDS)
        return f"{kind[:60]!r} is no type of key that can be used here ({types}); {_EXPECTED}"
    try:
        blob = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        return f"what follows {kind} is not BASE64; {_EXPECTED}"
    fields = fields_of(blob)
    if fields is None or len(fields) != KINDS[kind] or fields[0] != kind.encode():
        return f"what follows {kind} is not such a key, or was cut off; {_EXPECTED}"
    if kind == "ssh-ed25519" and len(fields[1]) != 32:
        return f"what follows {kind} has {len(fields[1])} bytes, not 32; {_EXPECTED}"
    return None
