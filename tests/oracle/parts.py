"""The parts of ansible-core that tests ask; to be imported through `tests.oracle.view.ansible`."""

from typing import Any

from ansible import constants as C  # noqa: N812 - that is its name everywhere
from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import connection_loader
from ansible.template import Templar
from ansible.vars.manager import VariableManager

__all__ = ["AnsibleError", "C", "DataLoader", "InventoryManager", "VariableManager", "effective"]

connection_loader.get("ssh", class_only=True)  # its options are known from then on
_NAMES = tuple(C.config.get_plugin_vars("connection", "ssh"))
_OPTIONS = {
    "address": "host",
    "port": "port",
    "user": "remote_user",
    "key_file": "private_key_file",
}


def effective(loader: DataLoader, variables: dict[str, Any]) -> dict[str, Any]:
    """The connection variables of a host, templated, as the `ssh` plugin takes its options."""
    templar = Templar(loader, variables=variables)

    def templated(name: str) -> Any:
        return templar.template(variables[name]) if name in variables else None

    become = templated("ansible_become")
    found = {
        "become": become is not None and _truth(become),
        "connection": templated("ansible_connection"),
    }
    if str(found["connection"]).rpartition(".")[2] == "local":
        return found
    options = {name: templated(name) for name in _NAMES if name in variables}
    return found | {
        field: C.config.get_config_value(
            option, plugin_type="connection", plugin_name="ssh", variables=options
        )
        for field, option in _OPTIONS.items()
    }


def _truth(value: Any) -> bool:
    try:
        return bool(boolean(value))
    except TypeError as exc:
        raise AnsibleError(str(exc)) from exc
