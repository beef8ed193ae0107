"""Certificate authorities of our own: one for TLS on the loopback, one for the users of sshd's."""

import ipaddress
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.lab.sshd import make_key


class Authority:
    """`roots` is the file to trust."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = _named(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.roots = folder / f"{name}.pem"
        certificate = self._signed(self._name, self._key, days=10, authority=True)
        self.roots.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def certificate(self, name: str, *, days: int = 1, address: str = "127.0.0.1") -> Path:
        """A certificate with its key, in one file; it expired when `days` are negative."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._signed(_named(name), key, days=days, address=address)
        file = self._folder / f"{name}.pem"
        file.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return file

    def _signed(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        *,
        days: int,
        authority: bool = False,
        address: str = "127.0.0.1",
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        here = x509.IPAddress(ipaddress.ip_address(address))
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=20))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName([here]), critical=False)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )


class UserAuthority:
    """Signs users' keys for sshd's; `public` is the line of their `TrustedUserCAKeys`."""

    def __init__(self, folder: Path) -> None:
        self._key = make_key(folder / "user_ca")
        self.public = self._key.with_suffix(".pub").read_text()

    def sign(self, key: Path, *users: str, valid: str = "-5m:+1h") -> Path:
        """Write KEY-cert.pub beside the key, for logins as these users."""
        argv: list[str | Path] = ["ssh-keygen", "-q", "-s", self._key, "-I", "lab"]
        argv += ["-n", ",".join(users)]
        public = key.with_name(f"{key.name}.pub")
        subprocess.run([*argv, "-V", valid, public], check=True, capture_output=True)
        return key.with_name(f"{key.name}-cert.pub")


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
