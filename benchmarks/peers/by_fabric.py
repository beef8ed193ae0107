"""Fabric's own way: `python -m benchmarks.peers.by_fabric KEY PORT USER COMMAND <addresses`.

`ThreadingGroup`, a thread for each host. It checks no host keys.
"""

import sys

from fabric import ThreadingGroup
from fabric.exceptions import GroupException


def main() -> None:
    """Run the command everywhere, and print what came."""
    key_file, port, user, command = sys.argv[1:]
    options = {"key_filename": key_file, "allow_agent": False, "look_for_keys": False}
    group = ThreadingGroup(
        *sys.stdin.read().split(), user=user, port=int(port), connect_kwargs=options
    )
    try:
        results = group.run(command, hide=True, in_stream=False)
    except GroupException as error:
        results = error.result
    for result in results.values():
        if isinstance(result, BaseException):
            print(repr(result)[:200], file=sys.stderr)
        else:
            print(result.stdout, end="")


if __name__ == "__main__":
    main()
