"""Statuses of nodes that were reached, and not entered. See `fleet.causes`."""

from fleet.causes.cause import About, Cause
from fleet.status import Phase, Status

AT_THE_DOOR = {
    Status.HOST_KEY_UNKNOWN: About(
        "No key is known for this address and port. Nothing was sent to the node. Keys are known "
        "by `fleet_host_key`, `--known-hosts`, the user's and the system's known_hosts, and what "
        "`fleet trust` has recorded.",
        (
            Cause(
                "A certificate authority is known for it (`@cert-authority`), and host "
                "certificates are not read; its plain key is not known.",
                (
                    "Record the plain key, compared with what the node's console shows: "
                    "`fleet trust {host} --from console.txt`",
                ),
                seen="cert-authority",
            ),
            Cause(
                "Its key was not recorded yet.",
                (
                    "Save what the machine's console shows (on EC2 the console output, where "
                    "cloud-init prints the fingerprints), and record the key that agrees with it: "
                    "`fleet trust {host} --from console.txt`",
                    "Or compare its fingerprint with the node's own, seen by another road than "
                    "this one, and name the key as `fleet_host_key` in the inventory: "
                    "`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`",
                    "Or trust what the network shows now, unseen, if you know that nobody is in "
                    "between: `fleet trust {host} --accept-new`",
                ),
            ),
        ),
        phase=Phase.HOST_KEY,
    ),
    Status.HOST_KEY_CHANGED: About(
        "The node shows a key that is not the known one. Nothing was sent to it.",
        (
            Cause(
                "The key is marked `@revoked` in known_hosts: somebody holds it who should not.",
                (
                    "Make new host keys on the node, and record them: "
                    "`fleet trust {host} --replace {host} --from console.txt`",
                ),
                seen="revoked",
            ),
            Cause(
                "The node has no key of a type that is known for it: keys of old types were "
                "removed there, or another machine answers.",
                (
                    "Compare with the machine's console, then record the key that it has: "
                    "`fleet trust {host} --replace {host} --from console.txt`",
                ),
                seen="known type",
            ),
            Cause(
                "The machine was rebuilt, its address now belongs to another one, or somebody is "
                "in between.",
                (
                    "If it was rebuilt, replace the key that is recorded, compared with its "
                    "console: `fleet trust {host} --replace {host} --from console.txt`",
                    "A key in `fleet_host_key` or in a known_hosts file of yours is replaced "
                    "there: by hand, or `ssh-keygen -R '[{address}]:{port}'`",
                    "If it was not rebuilt, do not log in there: find out who answers at "
                    "{address}.",
                ),
            ),
        ),
        phase=Phase.HOST_KEY,
    ),
    Status.AUTH_FAILED: About(
        "No key of ours was accepted, or ours could not be used. Passwords are never tried.",
        (
            Cause(
                "The private key is encrypted, and nobody is there to type the passphrase.",
                (
                    "Load it into an agent that the run can reach (`SSH_AUTH_SOCK`): "
                    "`ssh-add {key}`",
                    "Or put the passphrase into a file for its owner alone, and name that in "
                    "`FLEET_SSH_PASSPHRASE_FILE`.",
                ),
                seen="encrypted|passphrase",
            ),
            Cause(
                "Others than its owner may read the private key, which is then no longer private; "
                "OpenSSH refuses it as well.",
                ("Leave it to its owner: `chmod 600 {key}`",),
                seen="permission(?!s? denied)|readable by|others|too open",
            ),
            Cause(
                "The private key cannot be read.",
                (
                    "Name one that can: `ansible_ssh_private_key_file` in the inventory, "
                    "`--private-key`, or `IdentityFile` in the OpenSSH configuration.",
                ),
                seen=r"private key \S+: |no such file|not a private key",
            ),
            Cause(
                "The node gave up before the right key came: an agent with many keys "
                "(`MaxAuthTries`).",
                ("Name the right one, and only that is tried: `ansible_ssh_private_key_file`.",),
                seen="too many",
            ),
            Cause(
                "There is no key: none is named, no agent answers, and ~/.ssh has none.",
                (
                    "Make one for the central host, and name it by `--private-key`: "
                    "`ssh-keygen -t ed25519 -f ~/.ssh/fleet`",
                    "Then let it in; the line for the node's authorized_keys: "
                    "`fleet authorize {host}`",
                ),
                seen="no private key|no authentication methods|no key to",
            ),
            Cause(
                "The node took the key, and asks for a second factor, which nobody is there to "
                "give.",
                (
                    "Let this user in by key alone, in the node's sshd_config: "
                    "`Match User {user}` and there `AuthenticationMethods publickey`.",
                ),
                seen="asks for more",
            ),
            Cause(
                "The node did not take the key: a wrong user, or a key (or the certificate "
                "beside it) that is not in its authorized_keys or is out of date.",
                (
                    "Is {user} the right user? If not, set `ansible_user`.",
                    "The line for its authorized_keys, which lets the key run the probe and "
                    "nothing else: `fleet authorize {host}`",
                    "The node's log says why it was refused: `journalctl -u ssh -u sshd`",
                ),
            ),
        ),
        phase=Phase.LOGIN,
    ),
}
