"""Stand-ins for what may stand where QuestDB should: canned answers, and TLS before a server."""

import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from select import select
from threading import Thread

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Answer = bytes | Callable[[socket.socket], object]


@dataclass
class Door:
    """A listening port; `requests` are the heads and bodies that came in."""

    port: int
    requests: list[bytes] = field(default_factory=list)

    @property
    def conf(self) -> str:
        """The configuration string that leads here, quick to give up."""
        return f"http::addr=127.0.0.1:{self.port};request_timeout=2000;retry_timeout=0;"


def answer(status: int, body: str = "", kind: str = "text/html", location: str = "") -> bytes:
    """An HTTP answer."""
    data = body.encode()
    head = f"HTTP/1.1 {status} Said\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n"
    if location:
        head += f"Location: {location}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + data


@contextmanager
def answering(choose: Answer | Callable[[bytes], Answer]) -> Iterator[Door]:
    """A server that answers every request with the same bytes, or by its request's head.

    An answer that is a function gets the connection, to do with it what it likes.
    """
    server = socket.create_server(("127.0.0.1", 0))
    door = Door(server.getsockname()[1])

    def serve(connection: socket.socket) -> None:
        with suppress(OSError, ValueError), connection:
            request = _request(connection)
            door.requests.append(request)
            chosen = choose(request) if callable(choose) else choose
            if callable(chosen):
                chosen(connection)
            else:
                connection.sendall(chosen)

    with _accepting(server, serve):
        yield door


@contextmanager
def tls_before(port: int, certificate: Path) -> Iterator[int]:
    """A TLS server (certificate and key in one file) before a server on the loopback."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = socket.create_server(("127.0.0.1", 0))

    def serve(plain: socket.socket) -> None:
        with (
            suppress(OSError),
            context.wrap_socket(plain, server_side=True) as outside,
            socket.create_connection(("127.0.0.1", port)) as inside,
        ):
            while True:
                ready = [outside] if outside.pending() else select([outside, inside], [], [], 20)[0]
                if not ready:
                    break
                for side in ready:
                    data = side.recv(65536)
                    if not data:
                        return
                    (inside if side is outside else outside).sendall(data)

    with _accepting(server, serve):
        yield server.getsockname()[1]


def make_certificate(folder: Path, name: str, *, of_a_ca: bool = False, days: int = 1) -> Path:
    """A self-signed certificate for 127.0.0.1 with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=10))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=of_a_ca, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    file.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return file


@contextmanager
def _accepting(server: socket.socket, serve: Callable[[socket.socket], None]) -> Iterator[None]:
    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                connection.settimeout(20)
                Thread(target=serve, args=(connection,), daemon=True).start()

    Thread(target=accept, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def _request(connection: socket.socket) -> bytes:
    request = b""
    while b"\r\n\r\n" not in request:
        data = connection.recv(65536)
        if not data:
            raise ValueError("no request")
        request += data
    head, _, body = request.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body
