"""What is common to all that is said of keys: fingerprints, whole keys, families of types."""

import base64
import hashlib
from typing import Protocol

_FAMILIES = (
    ("ssh-ed25519", "ED25519"),
    ("ssh-rsa", "RSA"),
    ("rsa-sha2-", "RSA"),
    ("ecdsa-sha2-", "ECDSA"),
    ("ssh-dss", "DSA"),
    ("sk-ssh-ed25519", "ED25519-SK"),
    ("sk-ecdsa-sha2-", "ECDSA-SK"),
)


class Key(Protocol):
    """A public key that a node has shown."""

    @property
    def kind(self) -> str:
        """Its type, `ssh-ed25519`."""

    @property
    def blob(self) -> bytes:
        """Its bytes."""

    @property
    def fingerprint(self) -> str:
        """`SHA256:…`, without padding."""


def fingerprint_of(blob: bytes) -> str:
    """As OpenSSH prints it: `SHA256:` and base64 without padding."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def family_of(kind: str) -> str:
    """A key's type → the word for it in the lines of `ssh-keygen -l`, which knows no curves."""
    for start, family in _FAMILIES:
        if kind.startswith(start):
            return family
    return kind.upper()


def blob_of(kind: str, text: str) -> bytes | None:
    """The bytes of a public key's base64; None for what is no whole key of that type.

    A key is a row of fields, each after its length (RFC 4253, 6.6), its type first: a line that
    was cut off, or that another one stands in, does not come out even.
    """
    try:
        blob = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    fields, rest = [], blob
    while rest:
        length = int.from_bytes(rest[:4])
        if len(rest) < 4 + length:
            return None
        fields.append(rest[4 : 4 + length])
        rest = rest[4 + length :]
    return blob if len(fields) > 1 and fields[0] == kind.encode() else None
