"""The words for how a visit ended: `Status` and `Phase`, as `hostStatus` stores them."""

from enum import StrEnum


class Status(StrEnum):
    """How one visit ended; the table in `docs/statuses.md` says when and what to do."""

    OK = "ok"
    PARTIAL = "partial"
    BAD_CONFIG = "bad_config"
    DNS = "dns"
    UNREACHABLE = "unreachable"
    JUMP_FAILED = "jump_failed"
    HOST_KEY_UNKNOWN = "host_key_unknown"
    HOST_KEY_CHANGED = "host_key_changed"
    AUTH_FAILED = "auth_failed"
    TIMEOUT = "timeout"
    NO_DOCKER = "no_docker"
    DOCKER_DENIED = "docker_denied"
    DOCKER_DOWN = "docker_down"
    BAD_OUTPUT = "bad_output"
    PROBE_OUTDATED = "probe_outdated"
    SKIPPED = "skipped"
    SSH_ERROR = "ssh_error"


class Phase(StrEnum):
    """The step of a visit that a status other than `ok` points at."""

    RESOLVE = "resolve"
    CONNECT = "connect"
    HOST_KEY = "host_key"
    LOGIN = "login"
    PROBE = "probe"
    DAEMON = "daemon"
    PARSE = "parse"
