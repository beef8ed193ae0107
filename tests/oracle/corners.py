"""Inventories in corners that no generator finds: written by hand, one for each."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Corner:
    """Files by their paths, what `-i` names of them, and symbolic links: path and target."""

    files: dict[str, str]
    sources: tuple[str, ...] = ("i.yml",)
    links: dict[str, str] = field(default_factory=dict)


def _of(text: str) -> Corner:
    return Corner({"i.yml": text})


def _with(**files: str) -> Corner:
    """The plain inventory with files beside it; `__` in a name is a slash, `_dot_` a dot."""
    beside = {name.replace("__", "/").replace("_dot_", "."): text for name, text in files.items()}
    return Corner({"i.yml": _PLAIN, **beside})


def _program(text: str) -> Corner:
    return Corner({"p": f"#!/bin/sh\necho '{text}'\n"}, ("p",))


_PLAIN = "g: {hosts: {h: {}}, vars: {ansible_user: inv}}\n"
_A = "ansible_user: a\n"
_B = "ansible_user: b\n"

CORNERS = {
    "an empty file hides those of later extensions": _with(
        group_vars__g="", group_vars__g_dot_yml=_A
    ),
    "a folder whose name has an extension": _with(group_vars__g_dot_yml__x_dot_yml=_A),
    "folders with an extension in a vars folder": _with(
        group_vars__g__a_dot_d__x_dot_yml=_A, group_vars__g__b__x_dot_yml=_B
    ),
    "vars files in the order of bytes": _with(
        group_vars__g__B_dot_yml=_B, group_vars__g__a_dot_yml=_A
    ),
    "group_vars that is a file": _with(group_vars="x\n"),
    "a vars file that says nothing": _with(group_vars__g_dot_yml="---\n"),
    "other people's duplicate keys": _with(group_vars__g_dot_yml="x: 1\nx: 2\n" + _A),
    "a link to an inventory has the vars beside the link": Corner(
        {"real/i.yml": _PLAIN, "real/group_vars/g.yml": _A, "l/group_vars/g.yml": _B},
        ("l/i.yml",),
        {"l/i.yml": "../real/i.yml"},
    ),
    "a link to a folder": Corner(
        {"real/i.yml": _PLAIN, "real/group_vars/g.yml": _A}, ("l/i.yml",), {"l": "real"}
    ),
    "group_vars that is a link": Corner(
        {"i.yml": _PLAIN, "real/g.yml": _A}, links={"group_vars": "real"}
    ),
    "a slash at the end": Corner({"inv/i.yml": _PLAIN, "inv/group_vars/g.yml": _A}, ("inv/",)),
    "group_vars in a folder of a folder": Corner(
        {"inv/sub/i.yml": _PLAIN, "inv/sub/group_vars/g.yml": _A}, ("inv",)
    ),
    "a folder in the order of bytes": Corner(
        {
            "inv/B.yml": "g: {vars: {ansible_user: b}, hosts: {h: }}\n",
            "inv/a.yml": "g: {vars: {ansible_user: a}}\n",
            "inv/_c.yml": "g: {vars: {ansible_user: c}}\n",
        },
        ("inv",),
    ),
    "a priority of a host is none": _of(
        "a: {vars: {ansible_user: a}, hosts: {h: {ansible_group_priority: 9}}}\n"
        "b: {vars: {ansible_user: b}, hosts: {h: }}\n"
    ),
    "a priority of all counts for nothing": _of(
        "all: {vars: {ansible_user: all, ansible_group_priority: 99}}\n"
        "b: {vars: {ansible_user: b}, hosts: {h: }}\n"
    ),
    "a priority that a later inventory takes back": Corner(
        {
            "i.yml": "a: {vars: {ansible_user: a, ansible_group_priority: 9}, hosts: {h: }}\n"
            "b: {vars: {ansible_user: b, ansible_group_priority: 2}, hosts: {h: }}\n",
            "j.yml": "a: {vars: {ansible_group_priority: 1}}\n",
        },
        ("i.yml", "j.yml"),
    ),
    "the port of a key that is not the first": _of("a: {hosts: {h: }}\nb: {hosts: {'h:23': }}\n"),
    "the port of a key and ansible_ssh_port": _of(
        "g: {vars: {ansible_ssh_port: 7}, hosts: {'h:22': , '[::1]:99': }}\n"
    ),
    "a template of the port of a key": _of(
        "g: {vars: {x: '{{ ansible_port }}'}, hosts: {'h:22': {ansible_user: 'u{{ x }}'}}}\n"
    ),
    "templates of Ansible's own variables": _of(
        "g: {hosts: {h.x.y: {ansible_host: '{{ inventory_hostname_short }}.z',\n"
        "  ansible_user: '{{ inventory_hostname }}',\n"
        "  ansible_ssh_private_key_file: '{{ inventory_dir }}/k'}}}\n"
    ),
    "the short name of an address is the address": _of(
        "g: {vars: {ansible_user: 'u{{ inventory_hostname_short }}'}, hosts: {10.0.0.1: , a.b: }}\n"
    ),
    "a template that is its own variable": _of(
        "g: {hosts: {h: {ansible_user: '{{ ansible_user }}'}}}\n"
    ),
    "templates that are numbers, truths and nothing": _of(
        "g: {vars: {ansible_user: g}, hosts: {a: {ansible_user: '{{ x }}-{{ y }}', x: 1, y: yes},\n"
        "  b: {ansible_become: '{{ x }}', x: 'no'}, c: {ansible_user: '{{ x }}', x: }}}\n"
    ),
    "braces that are no template": _of(
        "g: {hosts: {a: {ansible_user: 'a{b}c'}, b: {ansible_user: !unsafe 'x'}}}\n"
    ),
    "a connection by template": _of("g: {hosts: {h: {ansible_connection: '{{ c }}', c: local}}}\n"),
    "ansible_ssh_host of a group beside ansible_host of hosts": _of(
        "g: {vars: {ansible_ssh_host: b}, hosts: {x: {ansible_host: a1}, y: {ansible_host: a2}}}\n"
    ),
    "a body repeated by an alias counts again": _of(
        "a: {children: {g: &g {vars: {ansible_user: first}, hosts: {h: {ansible_port: 1}}}}}\n"
        "b: {children: {g: {vars: {ansible_user: second}, hosts: {h: {ansible_port: 2}}}}}\n"
        "c: {children: {g: *g}}\n"
    ),
    "localhost is a host like others": _of("g: {hosts: {localhost: , 127.0.0.1: }}\n"),
    "children of ungrouped": _of("ungrouped: {children: {k: {hosts: {h: }}}, hosts: {z: }}\n"),
    "odd ranges": _of(
        "g: {hosts: {'a[1:3]b[01:02]': , 'x[A:C]': , 'y[z:z]': , 'n[9:11]': , 'm[:2]': ,\n"
        "  'q[0:0]': , 'w[1:10:4].a-b.c': , 'z[x:B]': , '10.0.0.[1:3]:22': , 'fe80::[1:3]': }}\n"
    ),
    "merged hosts come first": _of(
        "a: {hosts: &h {x: , y: {ansible_user: q}}}\n"
        "b: {hosts: {z: , <<: *h, y: {ansible_user: r}}}\n"
    ),
    "merged groups": _of(
        "a: &a {hosts: {x: }, vars: {ansible_user: a}}\n"
        "b: {<<: *a, hosts: {y: }}\n"
        "all: {children: {<<: {q: {hosts: {z: }}}, r: *a}}\n"
    ),
    "names that are strange": _of(
        "a b: {hosts: {h: }}\n'x.y': {hosts: {h: }}\n'1': {hosts: {H: }}\ngé: {hosts: {hé: }}\n"
    ),
    "a byte order mark": _of("\ufeff" + _PLAIN),
    "lines that end as on Windows": _of(_PLAIN.replace("\n", "\r\n")),
    "groups that are lists": _program(
        '{"g": ["h", "k"], "_meta": {"hostvars": {"h": {"ansible_user": "q"}, "nobody": {}}}}'
    ),
    "a template in JSON": _program(
        '{"g": {"hosts": ["h"], "vars": {"x": "q"}},'
        ' "_meta": {"hostvars": {"h": {"ansible_user": "{{ x }}"}}}}'
    ),
    "a vault in JSON": _program(
        '{"g": {"hosts": ["h"]}, "_meta": {"hostvars": {"h": {"ansible_user":'
        ' {"__ansible_vault": "$ANSIBLE_VAULT;1.1;AES256\\\\n6231"}}}}}'
    ),
}
