"""Waiting for a condition, with an end to every wait."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


class LabError(Exception):
    """A real part could not be had; the text says which and why."""


def poll(
    condition: Callable[[], Found],
    within_s: float,
    what: str,
    *,
    why: Callable[[], str] = lambda: "",
    every_s: float = 0.05,
) -> Found:
    """Ask until the answer is true, and return it; `why` adds what is known to the error."""
    end = time.monotonic() + within_s
    while not (found := condition()):
        if time.monotonic() > end:
            raise LabError(f"{what}: not within {within_s:g} s. {why()}".rstrip())
        time.sleep(every_s)
    return found
