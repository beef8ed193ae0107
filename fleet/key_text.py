"""A public key as text, `TYPE BASE64`: its types, and whether it is whole. Pure."""

import base64

KINDS = {
    "ssh-ed25519": 2,
    "ecdsa-sha2-nistp256": 3,
    "ecdsa-sha2-nistp384": 3,
    "ecdsa-sha2-nistp521": 3,
    "ssh-rsa": 3,
}
"""The types of keys that nodes are known by and that we log in with, and of how many fields they
consist.
"""


def fields_of(blob: bytes) -> list[bytes] | None:
    """What a key consists of, each after its length; None where the lengths do not add up."""
    fields = []
    while blob:
        length = int.from_bytes(blob[:4])
        if len(blob) < 4 + length:
            return None
        fields.append(blob[4 : 4 + length])
        blob = blob[4 + length :]
    return fields


def blob_of(kind: str, text: str) -> bytes | None:
    """The bytes of a public key's base64; None for what is no whole key of that type.

    A key is a row of fields, each after its length (RFC 4253, 6.6), its type first: a line that
    was cut off, or that another one stands in, does not come out even.
    """
    try:
        blob = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    fields = fields_of(blob)
    return blob if fields and len(fields) > 1 and fields[0] == kind.encode() else None
