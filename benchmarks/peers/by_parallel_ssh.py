"""parallel-ssh: `python -m benchmarks.peers.by_parallel_ssh KEY PORT USER COMMAND <addresses`.

libssh2 under gevent, all hosts in one pool. It checks no host keys.
"""

import sys

from pssh.clients import ParallelSSHClient


def main() -> None:
    """Run the command everywhere, and print what came."""
    key_file, port, user, command = sys.argv[1:]
    addresses = sys.stdin.read().split()
    client = ParallelSSHClient(
        addresses,
        user=user,
        port=int(port),
        pkey=key_file,
        allow_agent=False,
        pool_size=len(addresses),
        num_retries=1,
        timeout=60,
    )
    output = client.run_command(command, stop_on_errors=False, read_timeout=60)
    client.join(output)
    for answer in output:
        if answer.exception is not None:
            print(repr(answer.exception), file=sys.stderr)
            continue
        for line in answer.stdout:
            print(line)


if __name__ == "__main__":
    main()
