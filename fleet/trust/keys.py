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
