"""Which public key of the central host's lets it in to a host: for `fleet authorize`."""

import base64
import os
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from fleet.errors import UsageError

if TYPE_CHECKING:
    from fleet.inventory import Host
    from fleet.transport.route import Door


def key_finder(public: str | None) -> "Callable[[Host, Door], str]":
    """What finds the public key of a host: `public`, where that is named; FILE.pub beside the
    private key that the host has; else the one of the usual files that is there. Each is read once.

    It raises `UsageError` where no key is named and not exactly one is there, and for a FILE.pub
    that is not of the private key beside it.
    """

    @cache
    def read(file: str) -> str:
        from fleet.public_key import public_key

        return public_key(file)

    @cache
    def beside(private: str) -> str:
        found = read(f"{private}.pub")
        if not _is_of(private, found):
            raise UsageError(
                f"{private}.pub: not of the private key beside it; this writes it anew: "
                f"ssh-keygen -y -f {private} > {private}.pub"
            )
        return found

    def key_of(host: "Host", door: "Door") -> str:
        if public is not None:
            return read(os.path.expanduser(public))
        files = door.key_files or _usual(host)
        return beside(next((file for file in files if os.path.exists(f"{file}.pub")), files[0]))

    return key_of


def _usual(host: "Host") -> tuple[str, ...]:
    """The one key that a login would try where none is named."""
    from fleet.transport.keys import USUAL

    files = [os.path.expanduser(file) for file in USUAL]
    there = tuple(file for file in files if os.path.exists(f"{file}.pub"))
    if len(there) == 1:
        return there
    found = f"; of {', '.join(there)} any may be meant" if there else ""
    raise UsageError(
        f"{host.name}: no key is named for it, in the inventory or elsewhere{found}: say which, "
        "with --public-key FILE or --private-key FILE"
    )


def _is_of(private: str, public: str) -> bool:
    """Whether a public key is of a private one; True where that cannot be looked at."""
    from fleet.transport.key_file import Encrypted, parsed

    try:
        key = parsed(private, None)
    except (Encrypted, OSError, ValueError):
        return True
    return base64.b64encode(key.asbytes()).decode() == public.split()[1]
