"""asyncssh: `python -m benchmarks.peers.by_asyncssh KEY USER KNOWN_HOSTS COMMAND <places`.

All hosts at once by `gather`, or a thousand at a time where there are more: logins would time out.
Host keys are checked, the cipher is the fastest one of OpenSSH's.
"""

import asyncio
import sys

import asyncssh

AT_A_TIME = 1_000


async def _all(places: list[str], argv: list[str]) -> None:
    key_file, user, known_hosts_file, command = argv
    key = asyncssh.read_private_key(key_file)
    known_hosts = asyncssh.read_known_hosts(known_hosts_file)
    turns = asyncio.Semaphore(AT_A_TIME)

    async def one(place: str) -> str:
        address, _, port = place.rpartition(":")
        async with (
            turns,
            asyncssh.connect(
                address,
                int(port),
                username=user,
                client_keys=[key],
                known_hosts=known_hosts,
                agent_path=None,
                config=None,
                encryption_algs=["aes128-gcm@openssh.com"],
                kex_algs=["curve25519-sha256"],
                compression_algs=["none"],
                connect_timeout=60,
                login_timeout=60,
            ) as connection,
        ):
            done = await connection.run(command)
            return str(done.stdout)

    for answer in await asyncio.gather(*map(one, places), return_exceptions=True):
        if isinstance(answer, str):
            sys.stdout.write(answer)
        else:
            print(f"{type(answer).__name__}: {answer}", file=sys.stderr)


if __name__ == "__main__":
    asyncio.run(_all(sys.stdin.read().split(), sys.argv[1:]))
