"""Where each setting of a host was said."""

from fleet.inventory.host import Host, Setting
from fleet.inventory.nodes import place, text
from fleet.inventory.resolve import Resolver
from fleet.inventory.settings import WAY, Found, Settings
from fleet.inventory.variables import HOST, KEY_FILE, LABELS, PORT, USER

NOT_SAID = "not said"
DEFAULT = "default"

_WHENCE: dict[str, tuple[tuple[str, ...], str]] = {
    "address": (HOST, ""),
    "port": (PORT, "port"),
    "user": (USER, "user"),
    "key_file": (KEY_FILE, "identityfile"),
    "become": (("ansible_become",), ""),
    "connection": (("fleet_connection",), ""),
    "runtime": (("fleet_runtime",), ""),
    "runtime_path": (("fleet_runtime_path",), ""),
    "source": (("fleet_source",), ""),
    "jumps": (("fleet_jump",), WAY),
    "proxy_command": ((), WAY),
    "ssh_config": ((), "configfile"),
    "host_keys": (("fleet_host_key",), ""),
    "host_key_alias": ((), "hostkeyalias"),
    "maintenance": (("fleet_state",), ""),
    "labels": ((LABELS,), ""),
    "groups": ((), ""),
}


def explain(resolver: Resolver, host: Host, labels: tuple[str, ...]) -> tuple[Setting, ...]:
    """Every setting of one host in words, and its origin; then what was read and not obeyed."""
    settings = resolver.settings(host.name)
    first = place(resolver.effective(host.name).node)
    found = []
    for name in _WHENCE:
        origin = _origin(name, host, settings)
        if origin == DEFAULT and name == "groups":
            origin = f"{first} {host.name}"
        if origin == DEFAULT and name == "key_file" and host.key_file:
            origin = "--private-key"
        found.append(Setting(name, _words(name, host, labels), origin))
    for option in settings.ignored:
        value = text(option.node)
        shown = option.name if value is None or option.name.endswith(_SECRET) else value
        found.append(Setting("ignored", shown, option.origin))
    return tuple(found)


_SECRET = ("pass", "password", "passphrase", "private_key")


def _origin(name: str, host: Host, settings: Settings) -> str:
    names, option = _WHENCE[name]
    found: Found | None = settings.find(names, option)
    if name == "connection" and found is None:
        found = settings.find(("ansible_connection",))
    if name == "proxy_command" and host.proxy_command is None:
        found = None
    return found.origin if found else DEFAULT


def _words(name: str, host: Host, labels: tuple[str, ...]) -> str:
    if name == "jumps":
        if host.proxy_command is not None:
            return "none: a command leads there"
        if host.jumps is None:
            return NOT_SAID
        return " > ".join(_hop(hop) for hop in host.jumps) or "none"
    if name == "labels":
        pairs = zip(labels, host.labels, strict=False)
        return ", ".join(f"{label}={value}" for label, value in pairs if value) or NOT_SAID
    if name == "groups":
        return ", ".join(host.groups)
    value = getattr(host, name)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(value) or NOT_SAID
    return NOT_SAID if value is None else str(value)


def _hop(hop: Host) -> str:
    """A bastion as one would name it."""
    user = f"{hop.user}@" if hop.user else ""
    port = f":{hop.port}" if hop.port else ""
    address = f"[{hop.address}]" if ":" in hop.address else hop.address
    shown = f"{user}{address}{port}"
    return shown if hop.name in (hop.address, shown) else f"{hop.name} ({shown})"
