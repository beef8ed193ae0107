"""A door on the way to a host, as a person would name it."""

from typing import NamedTuple


class Hop(NamedTuple):
    """One sshd on the way; `key_files` are tried in their order."""

    name: str
    address: str
    port: int
    user: str
    key_files: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """As ssh(1) takes it after `-J`."""
        return f"{self.user}@{self.address}:{self.port}".removeprefix("@")
