"""Fabric's own way over many hosts: `python -m benchmarks.group KEY PORT USER ADDRESS...`."""

import sys

from fabric import ThreadingGroup


def main() -> None:
    """Run `docker stats` on every address with a thread each, and print what came."""
    key, port, user, *addresses = sys.argv[1:]
    group = ThreadingGroup(
        *addresses, user=user, port=int(port), connect_kwargs={"key_filename": key}
    )
    command = "docker stats --no-stream --no-trunc --format '{{json .}}'"
    for result in group.run(command, hide=True, in_stream=False).values():
        print(result.stdout, end="")


if __name__ == "__main__":
    main()
