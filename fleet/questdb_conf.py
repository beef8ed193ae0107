"""The official client's configuration string → one frozen `QuestDB`; secrets masked.

    http::addr=questdb.example.com:9000;username=fleet;password=…;

The client ignores keys that it does not know and loses rows with some that it does, so every
key is checked here. An error names where the text came from, and never quotes a secret.
"""

import base64
import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address
from pathlib import Path

from fleet.errors import UsageError

DEFAULT = "http::addr=localhost:9000;"
FLAG, FILE_FLAG, VARIABLE = "--questdb", "--questdb-file", "QDB_CLIENT_CONF"
EXAMPLE = "http::addr=HOST:PORT;key=value;"
FILE_MAX_BYTES = 65_536

# key → our field, the least and the greatest value; the defaults are the client's own
NUMBERS = {
    "request_timeout": ("request_timeout_ms", 1, 600_000),
    "request_min_throughput": ("request_min_throughput", 0, 2**40),
    "retry_timeout": ("retry_timeout_ms", 0, 600_000),
    "retry_max_backoff_millis": ("retry_max_backoff_ms", 10, 600_000),
    "init_buf_size": ("init_buf_size", 1, 2**30),
    "max_buf_size": ("max_buf_size", 65_536, 2**30),
    "max_name_len": ("max_name_len", 16, 1_000),
}
SECRETS = ("password", "token")
KNOWN = ("addr", "username", *SECRETS, "tls_ca", "tls_roots", "tls_verify", *NUMBERS)
OURS = (
    "auto_flush",
    "auto_flush_rows",
    "auto_flush_bytes",
    "auto_flush_interval",
    "protocol_version",
)


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A text that shows as `***` wherever it is printed by accident; `value` is the text."""

    value: str

    def __repr__(self) -> str:
        return "***"


@dataclass(frozen=True, slots=True)
class QuestDB:
    """One QuestDB as a target: where it listens, who we are there, how long we wait.

    `tls_roots` is a file of certificates to trust; None means the system's own.
    """

    scheme: str = "http"
    host: str = "localhost"
    port: int = 9000
    username: str | None = None
    password: Secret | None = None
    token: Secret | None = None
    tls_roots: str | None = None
    request_timeout_ms: int = 10_000
    request_min_throughput: int = 102_400  # bytes a second; 0: no allowance for big requests
    retry_timeout_ms: int = 10_000
    retry_max_backoff_ms: int = 1_000
    init_buf_size: int = 65_536
    max_buf_size: int = 104_857_600
    max_name_len: int = 127

    @property
    def address(self) -> str:
        """`host:port`, an IPv6 host in brackets: what error texts call this target."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def authorization(self) -> str | None:
        """The value of the `Authorization` header, if there is one to send."""
        if self.token is not None:
            return f"Bearer {self.token.value}"
        if self.username is None or self.password is None:
            return None
        pair = f"{self.username}:{self.password.value}".encode()
        return "Basic " + base64.b64encode(pair).decode()

    def request_s(self, size_bytes: int) -> float:
        """How long one request of this size may take, as the client reckons it."""
        allowance = size_bytes / self.request_min_throughput if self.request_min_throughput else 0
        return self.request_timeout_ms / 1000 + allowance

    def redact(self, text: str) -> str:
        """The text without our secrets, should a server or a library repeat them."""
        secrets = [secret.value for secret in (self.password, self.token) if secret]
        if self.authorization:
            secrets.append(self.authorization.partition(" ")[2])
        for secret in sorted(secrets, key=len, reverse=True):
            if len(secret) > 2:  # what is shorter hides nothing, and would garble every text
                text = text.replace(secret, "***")
        return text

    def __str__(self) -> str:
        """The configuration string as it was meant: secrets masked, defaults left out."""
        plain = QuestDB()
        numbers = [pair for pair in _numbers(self) if pair not in _numbers(plain)]
        return _joined(self.scheme, [("addr", self.address), *_login(self, "***"), *numbers])


def questdb_from(flag: str | None, file: str | None, environ: Mapping[str, str]) -> QuestDB:
    """`--questdb` or `--questdb-file`, else `QDB_CLIENT_CONF`, else the default."""
    if flag is not None and file is not None:
        raise UsageError(f"{FLAG} and {FILE_FLAG} name the same thing: give one of them")
    if flag is not None:
        target = parse_conf(flag, FLAG)
        for key in SECRETS:
            if getattr(target, key) is not None:
                raise UsageError(
                    f"{FLAG}: {key} would stand in the process list, for every user of this "
                    f"machine to read; put the text into {VARIABLE} or into a file ({FILE_FLAG})"
                )
        return target
    if file is not None:
        if not file:
            raise UsageError(f"{FILE_FLAG}: expected a file, not an empty name")
        return parse_conf(_line_of(file), file)
    return parse_conf(environ.get(VARIABLE) or DEFAULT, VARIABLE)


def parse_conf(text: str, origin: str) -> QuestDB:
    """The client's configuration string, checked key by key; `origin` leads every error."""
    try:
        scheme, pairs = _pairs(text)
        return _target(scheme, pairs)
    except ValueError as error:
        raise UsageError(f"{origin}: {error}") from None


def _line_of(file: str) -> str:
    try:
        with Path(file).open("rb") as stream:
            content = stream.read(FILE_MAX_BYTES + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{file}: not a text in UTF-8") from None
    lines = [
        line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]
    if len(lines) != 1 or len(content) > FILE_MAX_BYTES:
        raise UsageError(f"{file}: expected one line, {EXAMPLE}, beside comments (#)")
    return lines[0]


def _pairs(text: str) -> tuple[str, dict[str, str]]:
    """Scheme and pairs. What stands after a secret may be a part of it, so it is not quoted."""
    control = re.search(r"[\x00-\x1f\x7f-\x9f]", text)
    if control:
        raise ValueError(f"a control character ({control[0]!r}) cannot stand in a configuration")
    scheme, separator, rest = text.partition("::")
    if not separator:
        raise ValueError(f"expected {EXAMPLE}")
    _check_scheme(scheme)
    pairs: dict[str, str] = {}
    parts = [part.replace("\0", ";") for part in rest.replace(";;", "\0").split(";")]
    if not parts[-1]:
        parts.pop()
    before = None
    for number, part in enumerate(parts, 1):
        key, equals, value = part.partition("=")
        hint = " (a ';' inside a value is written ';;')"
        if not equals:
            raise ValueError(f"part {number} is not key=value" + (hint if before else ""))
        if key not in KNOWN and before in SECRETS:
            raise ValueError(f"an unknown key follows {before}{hint}")
        _check_key(key, value, scheme)
        if key in pairs:
            raise ValueError(f"{key} is given twice")
        pairs[key] = value
        before = key
    return scheme, pairs


def _check_scheme(scheme: str) -> None:
    if scheme in ("tcp", "tcps"):
        raise ValueError(
            f"{scheme}:: loses rows silently: nobody answers whether they were stored; "
            f"use http{scheme[3:]}::"
        )
    if scheme in ("ws", "wss"):
        raise ValueError(
            f"{scheme}:: is not supported by this version of fleet; use http{scheme[2:]}::"
        )
    if scheme not in ("http", "https"):
        raise ValueError(f"expected {EXAMPLE} (or https::)")


def _check_key(key: str, value: str, scheme: str) -> None:
    if key in OURS:
        raise ValueError(f"{key} is set by fleet: leave it out")
    if key not in KNOWN:
        close = difflib.get_close_matches(key, KNOWN, 1)
        raise ValueError(f"unknown key {key!r}" + (f" (did you mean {close[0]}?)" if close else ""))
    if key.startswith("tls_") and scheme != "https":
        raise ValueError(f"{key} needs https::")
    if not value:
        raise ValueError(f"{key} is empty")
    if key == "tls_verify" and value != "on":
        raise ValueError(
            "tls_verify can only be on: to trust a certificate of your own, name it, or its CA's, "
            "with tls_roots=FILE"
        )
    if key == "tls_ca" and value not in ("os_roots", "pem_file"):
        raise ValueError(
            "tls_ca can only be os_roots (the system's certificates, the default) or pem_file "
            "(with tls_roots=FILE)"
        )


def _target(scheme: str, pairs: dict[str, str]) -> QuestDB:
    if "addr" not in pairs:
        raise ValueError("addr=HOST:PORT is missing")
    host, port = _address(pairs["addr"])
    numbers = {
        field: _number(key, pairs[key], least, greatest)
        for key, (field, least, greatest) in NUMBERS.items()
        if key in pairs
    }
    _check_login(pairs)
    if (pairs.get("tls_ca") == "pem_file") != ("tls_roots" in pairs) and "tls_ca" in pairs:
        raise ValueError("tls_roots=FILE and tls_ca=pem_file go together")
    return QuestDB(
        scheme,
        host,
        port,
        username=pairs.get("username"),
        password=Secret(pairs["password"]) if "password" in pairs else None,
        token=Secret(pairs["token"]) if "token" in pairs else None,
        tls_roots=pairs.get("tls_roots"),
        **numbers,
    )


def _check_login(pairs: dict[str, str]) -> None:
    if "token" in pairs and ("username" in pairs or "password" in pairs):
        raise ValueError("token goes without username and password: give the one or the other")
    if ("username" in pairs) != ("password" in pairs):
        given, missing = ("username", "password")[:: 1 if "username" in pairs else -1]
        raise ValueError(f"{given} is given without {missing}")
    if ":" in pairs.get("username", ""):
        raise ValueError("username cannot hold a ':'")
    if not re.fullmatch(r"[!-~]*", pairs.get("token", "")):
        raise ValueError("token can only hold printable ASCII without spaces")


def _address(text: str) -> tuple[str, int]:
    if "," in text:
        raise ValueError("addr takes one address: fleet writes to one QuestDB")
    if "@" in text:
        raise ValueError("addr: expected HOST:PORT; a login stands in username and password")
    match = re.fullmatch(r"(\[([0-9A-Fa-f:.]+)\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?", text)
    if match is None:
        if text.count(":") > 1 and "[" not in text:
            raise ValueError(f"addr: an IPv6 address stands in brackets: [::1]:9000, not {text!r}")
        raise ValueError(f"addr: expected HOST:PORT, not {text!r}")
    host = match[2] or match[1]
    if match[2]:
        try:
            IPv6Address(host)
        except ValueError:
            raise ValueError(f"addr: {host!r} is not an IPv6 address") from None
    port = int(match[3] or 9000)
    if not 1 <= port <= 65_535:
        raise ValueError(f"addr: a port is 1 to 65535, not {port}")
    return host, port


def _number(key: str, text: str, least: int, greatest: int) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", text) or not least <= int(text) <= greatest:
        raise ValueError(f"{key}: expected a whole number from {least} to {greatest}, not {text!r}")
    return int(text)


def _login(target: QuestDB, mask: str) -> list[tuple[str, str]]:
    """Who we are and whom we trust, as pairs; a `mask` for each secret."""
    values = {
        "username": target.username,
        "password": target.password and mask,
        "token": target.token and mask,
        "tls_roots": target.tls_roots,
    }
    return [(key, value) for key, value in values.items() if value]


def _numbers(target: QuestDB) -> list[tuple[str, str]]:
    return [(key, str(getattr(target, field))) for key, (field, _, _) in NUMBERS.items()]


def _joined(scheme: str, pairs: list[tuple[str, str]]) -> str:
    return f"{scheme}::" + "".join(f"{key}={value.replace(';', ';;')};" for key, value in pairs)
