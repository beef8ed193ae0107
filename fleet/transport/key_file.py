"""Files of private keys, in the formats that ssh reads: OpenSSH's own, PEM, and PKCS #8."""

import base64
import io
import os
import re
from pathlib import Path

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from paramiko.ssh_exception import SSHException

_MAGIC = b"openssh-key-v1\0"
_BEGIN = re.compile(rb"^-----BEGIN ", re.MULTILINE)
_CLASSES: tuple[tuple[type, type[paramiko.PKey]], ...] = (
    (rsa.RSAPrivateKey, paramiko.RSAKey),
    (ec.EllipticCurvePrivateKey, paramiko.ECDSAKey),
    (ed25519.Ed25519PrivateKey, paramiko.Ed25519Key),
)


class Encrypted(Exception):
    """A file that needs a passphrase."""


def parsed(file: str, passphrase: bytes | None) -> paramiko.PKey:
    """The key in a file, with the certificate in FILE-cert.pub if there is one that can be read.

    Raises `Encrypted` without a passphrase where one is needed, ValueError for what is no private
    key or not opened by the passphrase, and `OSError`.
    """
    data = Path(file).read_bytes()
    begin = _BEGIN.search(data)
    data = data[begin.start() :] if begin else data  # openssl puts words before it
    load = (
        serialization.load_ssh_private_key
        if data.startswith(b"-----BEGIN OPENSSH")
        else serialization.load_pem_private_key
    )
    try:
        found = load(data, passphrase)
        text = found.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        ).decode()
    except TypeError as error:  # "Password was not given", or one where none is needed
        if passphrase is None:
            raise Encrypted from None
        raise ValueError(str(error)) from None
    except (UnsupportedAlgorithm, ValueError) as error:
        if passphrase is None and "password-protected" in str(error):  # before version 44
            raise Encrypted from None
        raise ValueError(str(error)) from None
    for kind, key_class in _CLASSES:
        if isinstance(found, kind):
            try:
                key = key_class.from_private_key(io.StringIO(text))
            except SSHException as error:
                raise ValueError(str(error)) from None
            return _with_certificate(key, f"{file}-cert.pub")
    raise ValueError(f"a key of a kind that cannot be used: {type(found).__name__}")


def _with_certificate(key: paramiko.PKey, file: str) -> paramiko.PKey:
    if os.path.isfile(file):
        try:
            key.load_certificate(file)
        except (OSError, ValueError, IndexError, SSHException):  # ssh goes on without it, too
            key.public_blob = None
    return key


def public_of(file: str) -> bytes | None:
    """The public half of an encrypted key: from the file itself (OpenSSH's format shows it), else
    from FILE.pub.
    """
    try:
        lines = Path(file).read_text(errors="replace").splitlines()
        blob = base64.b64decode("".join(line for line in lines if not line.startswith("-")))
        if blob.startswith(_MAGIC):
            message = paramiko.Message(blob[len(_MAGIC) :])
            for _word in ("cipher", "kdf", "options"):
                message.get_string()
            message.get_int()
            return message.get_string()
    except (OSError, ValueError, SSHException):
        pass
    return public_line(f"{file}.pub")


def public_line(file: str) -> bytes | None:
    """The key in a file of one public key; None for any other file."""
    try:
        kind, text = Path(file).read_text().split()[:2]
        return None if kind.startswith("-") else base64.b64decode(text, validate=True)
    except (OSError, ValueError):
        return None
