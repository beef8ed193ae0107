"""Keys that nobody has, and the texts in which host keys come by another road."""

import base64
import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A public key as a node shows it; nobody has its private half."""

    kind: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """As OpenSSH prints it."""
        digest = hashlib.sha256(self.blob).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    @property
    def text(self) -> str:
        """Type and base64."""
        return f"{self.kind} {base64.b64encode(self.blob).decode()}"

    def listed(self, who: str = "root@ip-172-31-5-9") -> str:
        """A line of `ssh-keygen -lf`."""
        bits = {"RSA": 3072}.get(self.family, 256)
        return f"{bits} {self.fingerprint} {who} ({self.family})"

    @property
    def md5(self) -> str:
        """A line of `ssh-keygen -E md5 -lf`, as old cloud-init prints it."""
        digest = hashlib.md5(self.blob).hexdigest()
        pairs = ":".join(digest[at : at + 2] for at in range(0, 32, 2))
        return f"256 {pairs}  root@ip-172-31-5-9 ({self.family})"

    @property
    def family(self) -> str:
        """The word in parentheses."""
        return {"ssh-rsa": "RSA", "ssh-ed25519": "ED25519"}.get(self.kind, "ECDSA")


def made(kind: str = "ed25519", seed: str = "a") -> MadeKey:
    """A key of a type, another one for every seed."""
    body = hashlib.sha512(f"{kind} {seed}".encode()).digest()
    name, fields = {
        "ed25519": ("ssh-ed25519", [body[:32]]),
        "rsa": ("ssh-rsa", [b"\x01\x00\x01", b"\x00" + body * 6]),
        "ecdsa": ("ecdsa-sha2-nistp256", [b"nistp256", b"\x04" + body]),
    }[kind]
    packed = b"".join(len(field).to_bytes(4) + field for field in (name.encode(), *fields))
    return MadeKey(name, packed)


def block(keys: list[MadeKey], prefix: str = "ec2: ") -> str:
    """What cloud-init prints of fingerprints."""
    hashes = "#" * 61
    lines = ["", hashes, "-----BEGIN SSH HOST KEY FINGERPRINTS-----"]
    lines += [key.listed() for key in keys]
    lines += ["-----END SSH HOST KEY FINGERPRINTS-----", hashes]
    return "".join(f"{prefix}{line}\n" for line in lines)


def whole(keys: list[MadeKey], prefix: str = "") -> str:
    """What cloud-init prints of whole keys."""
    lines = ["-----BEGIN SSH HOST KEY KEYS-----"]
    lines += [f"{key.text} root@ip-172-31-5-9" for key in keys]
    lines += ["-----END SSH HOST KEY KEYS-----"]
    return "".join(f"{prefix}{line}\n" for line in lines)


BOOTING = """\
[    0.000000] Linux version 6.1.0-18-cloud-amd64 (gcc-12 (Debian 12.2.0-14) 12.2.0) #1 SMP
[    0.000000] Command line: BOOT_IMAGE=/boot/vmlinuz root=PARTUUID=1 ro console=tty0 console=ttyS0
\x1b[0;32m  OK  \x1b[0m] Started \x1b[0;1;39mNetwork Service\x1b[0m.
[   11.204533] cloud-init[512]: Generating public/private ed25519 key pair.
[   11.204911] cloud-init[512]: The key fingerprint is:
[   11.205100] cloud-init: SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA root@ip-172-31-5-9
ci-info: ++++++++++++++Authorized keys from /home/admin/.ssh/authorized_keys for user admin+++++
ci-info: +-------------+-------------------------------------------------+---------+-----------+
ci-info: |   Keytype   |                Fingerprint (md5)                | Options |  Comment  |
ci-info: +-------------+-------------------------------------------------+---------+-----------+
ci-info: | ssh-ed25519 | 5c:0a:11:8e:2b:f0:11:22:33:44:55:66:77:88:99:aa |    -    | ops@desk  |
ci-info: +-------------+-------------------------------------------------+---------+-----------+
"""
BOOTED = """\
[   14.100200] cloud-init[601]: Cloud-init v. 23.4.4 finished at Wed, 25 Nov 2026 09:00:14 +0000.

Debian GNU/Linux 12 ip-172-31-5-9 ttyS0

ip-172-31-5-9 login: """
