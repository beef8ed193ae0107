"""What `fleet authorize` prints: lines of authorized_keys and sudoers, user data of cloud-init."""

import re
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from fleet import probe
from fleet.authorize import FORMS, Login, grants, key_line, printed, sources_of
from fleet.commands.authorize import command
from fleet.errors import UsageError
from fleet.inventory import Host
from fleet.key_text import KINDS
from fleet.public_key import public_key
from fleet.sources.docker import STATS_FORMAT
from fleet.sources.state import INSPECT_FORMAT, VERSION_FORMAT
from fleet.sudoers import is_plain_path, sudoers_line, way_to_line

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIlzdcI2RV/e0gILjBRutRsOard/knXKmyRXaQj500sd fleet"
MARKS = {"private": "PRIVATE" + " KEY"}  # apart: no file here looks like a key


def _login(name: str, **fields) -> Login:
    return Login(Host(name, name, **fields), fields.get("user", "ops"), KEY)


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> Path:
    """A folder with a key pair of each type."""
    folder = tmp_path_factory.mktemp("keys")
    for kind, bits in (("ed25519", "256"), ("rsa", "2048"), ("ecdsa", "256"), ("ecdsa", "521")):
        argv = ["ssh-keygen", "-q", "-N", "", "-C", "who ever", "-t", kind, "-b", bits]
        subprocess.run([*argv, "-f", folder / f"{kind}{bits}"], check=True)
    return folder


def test_line_is_read_back_by_sshd_as_the_probe():
    """Undoing the quotes as sshd does gives the text that is sent, and all else is restricted."""
    line = key_line(KEY)
    found = re.fullmatch(r'restrict,command="((?:[^"\\]|\\")*)" (ssh-ed25519 \S+ fleet)', line)
    assert found is not None
    assert found[1].replace('\\"', '"') == probe.COMMAND
    assert found[2] == KEY
    assert key_line(KEY, "10.0.0.1").startswith('restrict,from="10.0.0.1",command="exec sh -c ')


@pytest.mark.parametrize("name", ["ed25519256", "rsa2048", "ecdsa256", "ecdsa521"])
def test_public_key_of_each_type_is_taken(keys, name):
    """What ssh-keygen writes is what stands in the line, comment and all."""
    text = (keys / f"{name}.pub").read_text()
    assert public_key(str(keys / f"{name}.pub")) == text.strip()
    assert text.split()[0] in KINDS


BAD_KEYS = {
    "": "no key in it",
    "# only a comment\n": "no key in it",
    f"{KEY}\n{KEY}\n": ":2: more than one line",
    f"-----BEGIN OPENSSH {MARKS['private']}-----\nxyz\n": "a private key, which stays here",
    "---- BEGIN SSH2 PUBLIC KEY ----\n": "no type of key",
    KEY[:-20]: "is not BASE64|cut off",
    KEY.replace("AAAAC3", "AAAAC4"): "not such a key",
    KEY.replace("IIlz", "I!lz"): "is not BASE64",
    KEY.replace("ssh-ed25519 ", "ssh-rsa "): "not such a key",
    KEY.removeprefix("ssh-ed25519 "): "no type of key",
    f"restrict {KEY}": "no type of key",
    "ssh-ed25519": "not such a key",
    "ssh-dss AAAA x": "no type of key",
    "ssh-ed25519-cert-v01@openssh.com AAAA x": "is a certificate",
    "x" * 70_000: "more than 64 KiB",
}


@pytest.mark.parametrize(("text", "why"), BAD_KEYS.items(), ids=BAD_KEYS.values())
def test_file_that_is_no_public_key_is_refused(text, why, tmp_path):
    """Nothing but one public key gets into a line; the error names the file and what is wrong."""
    file = tmp_path / "key.pub"
    file.write_text(text)
    with pytest.raises(UsageError, match=why) as caught:
        public_key(str(file))
    assert str(caught.value).startswith(f"{file}:")
    assert "\n" not in str(caught.value)


def test_private_key_is_never_printed(keys):
    """Naming the private key by mistake shows nothing of it, and says which file was meant."""
    file = str(keys / "ed25519256")
    with pytest.raises(UsageError) as caught:
        public_key(file)
    assert str(caught.value).endswith(f"name the public one, {file}.pub")


def test_missing_public_key_can_be_made(tmp_path):
    """The error has the command that writes it."""
    with pytest.raises(UsageError, match=r"ssh-keygen -y -f \S+/id > \S+/id\.pub$"):
        public_key(str(tmp_path / "id.pub"))
    with pytest.raises(UsageError, match="Is a directory"):
        public_key(str(tmp_path))


def test_comment_of_a_key_cannot_start_another_line(tmp_path):
    """What is not printable in it is left out."""
    file = tmp_path / "key.pub"
    file.write_text(f"{KEY}\x1b[2J\n")
    assert public_key(str(file)) == KEY.removesuffix(" fleet")


@given(st.binary(max_size=300))
def test_any_file_is_a_key_or_an_error(tmp_path_factory, data):
    """No bytes make it raise anything else."""
    file = tmp_path_factory.getbasetemp() / "any.pub"
    for text in (data, b"ssh-ed25519 " + data, KEY.encode() + data):
        file.write_bytes(text)
        with suppress(UsageError):
            assert public_key(str(file)).isprintable()


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ((), None),
        (("10.0.0.1",), "10.0.0.1"),
        (("10.0.0.0/24, 2001:db8::/32", "!10.0.0.9"), "10.0.0.0/24,2001:db8::/32,!10.0.0.9"),
        (("*.example.com,10.0.?.1",), "*.example.com,10.0.?.1"),
    ],
)
def test_addresses_are_one_list(texts, expected):
    """Several options, or commas, make one from=."""
    assert sources_of(texts) == expected


@pytest.mark.parametrize(
    "text",
    ["", "a b", 'a"', "10.0.0.1/24", "10.0.0.0/33", "10.0.0.0/255.0.0.0", "a\nb", "!10.0.0.1", ","],
)
def test_addresses_that_sshd_would_misread_are_refused(text):
    """With one bad word sshd would let nobody in, or the line would be another."""
    with pytest.raises(UsageError, match="--from: "):
        sources_of((text,))


def test_hosts_with_the_same_lines_are_one_grant():
    """User, key and sudo make the difference; names are folded."""
    logins = [_login(f"web{n:02d}") for n in range(1, 13)]
    logins += [_login("db1", become=True), _login("db2", become=True)]
    logins += [_login("old", user="root"), Login(Host("here", "h", connection="local"), "me", None)]
    found = grants(logins)
    assert [grant.names for grant in found] == ["web[01-12]", "db[1-2]", "old", "here"]
    assert [grant.sudoers is not None for grant in found] == [False, True, False, False]
    text = printed(found, "authorized_keys")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines == [key_line(KEY)] * 3
    assert "# here: read without SSH" in text
    text = printed(found, "sudoers")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines == [sudoers_line(Host("db1", "db1", user="ops"))]


def test_path_that_cannot_be_forced_is_a_warning():
    """A host with a fleet_runtime_path is named beside the line that cannot follow it."""
    found = grants([_login("a1"), _login("a2", runtime_path="/opt/docker"), _login("a3")])
    assert found[0].unfollowed == ("a2",)
    for form in ("all", "authorized_keys", "cloud-init"):
        assert "# WARNING: a2: fleet_runtime_path cannot be followed" in printed(found, form)


@pytest.mark.parametrize("become", [False, True])
def test_cloud_init_installs_the_same_lines(become):
    """The snippet is YAML, and holds the very lines that are printed alone."""
    found = grants([_login("n1", become=become), _login("n2", become=become)], "10.0.0.0/8")
    text = printed(found, "cloud-init")
    assert text.startswith("#cloud-config\n")
    snippet = yaml.safe_load(text)
    default, user = snippet["users"]
    assert default == "default"
    assert user["name"] == "ops"
    assert user["ssh_authorized_keys"] == [key_line(KEY, "10.0.0.0/8")]
    if not become:
        assert user["groups"] == ["docker"]
        assert snippet["runcmd"] == [["usermod", "--append", "--groups", "docker", "ops"]]
        assert "write_files" not in snippet
        return
    (file,) = snippet["write_files"]
    assert (file["path"], file["permissions"]) == ("/etc/sudoers.d/fleet", "0440")
    assert file["owner"] == "root:root"
    lines = [line for line in file["content"].splitlines() if not line.startswith("#")]
    assert lines == [sudoers_line(Host("n1", "n1", user="ops"))]
    assert file["content"].endswith("\n")
    assert "groups" not in user, "as good as root, and not needed"


def test_several_snippets_are_several_documents():
    """Each machine gets one of them; together they are still YAML."""
    found = grants([_login("a"), _login("b", user="no"), _login("c", become=True)])
    documents = list(yaml.safe_load_all(printed(found, "cloud-init")))
    assert [document["users"][1]["name"] for document in documents] == ["ops", "no", "ops"]


@given(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=12),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=12),
    st.booleans(),
)
def test_no_name_breaks_out_of_its_line(name, user, become):
    """Whatever hosts and users are called, what is no comment is one of our lines, and YAML is."""
    found = grants([Login(Host(name, "h", become=become), user, KEY)])
    for form in ("authorized_keys", "sudoers"):
        lines = printed(found, form).split("\n")
        bare = [line for line in lines if line and not line.startswith("#")]
        ours = found[0].key_line if form == "authorized_keys" else found[0].sudoers
        assert bare == ([ours] if ours else [])
    assert yaml.safe_load(printed(found, "cloud-init"))["users"][1]["name"] == user


def _rules(line: str) -> list[str]:
    """The commands of a line of sudoers, the commas that are escaped left in."""
    return re.split(r"(?<!\\), ", line.partition("NOPASSWD: ")[2])


def test_sudoers_line_has_no_wildcard_before_docker():
    """sudo's * matches blanks: one before `docker` would allow any program."""
    line = sudoers_line(Host("n", "n", user="ops"))
    within = r"!?/usr/bin/timeout -k 2 \[0-9\]\[0-9\]\[0-9\] /usr/bin/docker "
    tails = [re.sub(f"^{within}", "", rule) for rule in _rules(line)]
    assert [tail.split()[0] for tail in tails] == ["ps", "stats", "version", "inspect", "inspect"]
    assert [re.sub(r"\\.", "", tail).count("*") for tail in tails] == [1, 0, 0, 1, 3]
    assert len(line) < 1000


def test_sudoers_patterns_match_the_probes_formats_alone():
    """As sudoers and fnmatch read it, the rule is the very text that the probe sends, then ids."""
    *_, allowed, taken_back = _rules(sudoers_line(Host("n", "n")))
    read = re.sub(r"\\([,:=#\\])", r"\1", allowed)
    literal = re.sub(r"\\([][*?!])", r"\1", read)
    assert literal.endswith(f" inspect --type container --format {INSPECT_FORMAT} -- *")
    assert re.sub(r"\\.|\[0-9\]", "", read).count("[") == 0, "no bracket is left open to a guess"
    assert taken_back.startswith("!")
    assert taken_back.endswith(" /usr/bin/docker inspect * -- *[!0-9a-f ]*")


@pytest.mark.parametrize("text", [INSPECT_FORMAT, VERSION_FORMAT, STATS_FORMAT])
def test_a_format_that_is_cut_at_a_blank_is_none(text):
    """sudo does not see where an argument ends: what stands before a blank must be no template."""
    blanks = [found.start() for found in re.finditer(" ", text)]
    assert blanks
    for blank in blanks:
        assert text[:blank].count("{{") == text[:blank].count("}}") + 1


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        ("/opt/docker/bin/docker", "/opt/docker/bin/docker"),
        ("docker", "/usr/bin/docker"),
        ("/opt/../tmp/docker", "/usr/bin/docker"),
        ("/opt/docker, ALL", "/usr/bin/docker"),
        ("/opt/dock*", "/usr/bin/docker"),
        ("/" + "a" * 200, "/usr/bin/docker"),
    ],
)
def test_path_in_the_rule_is_one_plain_file(path, taken):
    """What would mean several files, or end the rule, is not taken."""
    assert is_plain_path(path) == (path == taken)
    assert f" {taken} ps " in sudoers_line(Host("n", "n", runtime_path=path))


@pytest.mark.parametrize(
    ("docker", "words"),
    [
        (None, ""),
        ("/usr/bin/docker", ""),
        ("/snap/bin/docker", " --docker /snap/bin/docker"),
        ("/opt/dock*", ""),
    ],
)
def test_command_that_prints_the_line(docker, words):
    """It names the place of docker where that is unusual, and the host as a shell takes it."""
    assert way_to_line("web 1", docker) == f"fleet authorize --format sudoers{words} 'web 1'"


@pytest.mark.parametrize(
    "user",
    ["ops", "ec2-user", "DOMAIN\\ops", "o@example.com", "OPS", "a,b", "#1000", "%ops", "a b", "é!"],
)
def test_sudoers_are_sound(user, tmp_path):
    """visudo finds no fault, also with names that sudoers would read in ways of its own."""
    file = tmp_path / "fleet"
    file.write_text(printed(grants([_login("n", become=True, user=user)]), "sudoers"))
    visudo = shutil.which("visudo", path="/usr/sbin:/usr/bin:/sbin:/bin")
    assert visudo, "sudo is not installed; `make test` says how"
    done = subprocess.run([visudo, "-cf", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _run(folder: Path, inventory: str, *words: str) -> Result:
    file = folder / "inventory.yaml"
    file.write_text(inventory)
    return CliRunner().invoke(command, ["-i", str(file), "-F", "none", *words])


HOSTS = """
all:
  hosts:
    web[1:3]:
    db: {ansible_become: true, ansible_user: admin, fleet_runtime_path: /opt/docker}
  vars: {ansible_user: ops}
"""


def test_command_takes_the_key_beside_the_private_one(keys, tmp_path):
    """FILE.pub of --private-key, or of the inventory's key, which is the one that logs in."""
    run = _run(tmp_path, HOSTS, "--private-key", str(keys / "rsa2048"), "web*")
    assert run.exception is None
    assert run.output.count((keys / "rsa2048.pub").read_text().strip()) == 2
    own = HOSTS.replace("{ansible_user: ops}", f"{{ansible_private_key_file: {keys}/ecdsa256}}")
    run = _run(tmp_path, own, "--private-key", str(keys / "rsa2048"), "web1")
    assert (keys / "ecdsa256.pub").read_text().strip() in run.output
    run = _run(tmp_path, own, "--public-key", str(keys / "ecdsa521.pub"), "web1")
    assert (keys / "ecdsa521.pub").read_text().strip() in run.output


@pytest.mark.parametrize("form", FORMS)
def test_command_prints_each_form(keys, tmp_path, form):
    """Every form has a part for each kind of host, and the warning is said as well."""
    run = _run(tmp_path, HOSTS, "--public-key", str(keys / "rsa2048.pub"), "--format", form)
    assert run.exception is None
    assert "# web[1-3]" in run.stdout
    assert "# db" in run.stdout
    assert "fleet: db: fleet_runtime_path cannot be followed by a forced command" in run.output


BEHIND = """
all:
  hosts:
    gate: {ansible_host: 10.0.0.1, ansible_user: ops}
    other: {ansible_host: 10.0.0.2, ansible_user: ops}
    web[1:2]: {ansible_user: ops, fleet_jump: gate}
    six: {ansible_host: "fd00::6", ansible_port: 2222, ansible_user: ops, fleet_jump: gate}
    bad: {ansible_port: 0, fleet_jump: gate}
"""


def test_bastion_may_connect_to_what_is_behind_it_and_no_further(keys, tmp_path):
    """Its line opens the places reached through it, by hosts that are not meant as well."""
    words = ["--public-key", str(keys / "rsa2048.pub"), "--format", "authorized_keys"]
    run = _run(tmp_path, BEHIND, *words, "gate,other")
    assert run.exception is None
    bastion, other = (line for line in run.stdout.splitlines() if line.startswith("restrict"))
    assert bastion.startswith(
        'restrict,port-forwarding,permitlisten="localhost:1",permitopen="web1:22",'
        'permitopen="web2:22",permitopen="[fd00::6]:2222",command="exec '
    )
    assert "# gate: a bastion: permitopen names the 3 places reached through it" in run.stdout
    assert other.startswith('restrict,command="exec ')


def test_bastion_of_very_many_does_not_name_them():
    """sshd of before 2018 would not read so long a line; what is given instead is said."""
    seen = set()
    for count in range(1, 500, 7):
        opens = tuple(f"web{number}:22" for number in range(count))
        (grant,) = grants([Login(Host("gate", "gate"), "ops", KEY, opens)])
        text = printed([grant], "authorized_keys")
        assert text.count("permitopen=") == (0 if grant.opens_any else count)
        assert (f"# WARNING: gate: a bastion, with the {count} places" in text) == (
            grant.opens_any and count > 1
        )
        assert len(grant.key_line) < 16_384
        seen.add((grant.opens_any, count > 150))
    assert {(False, False), (True, True)} <= seen
    assert (True, False) not in seen


def test_line_of_any_key_is_one_that_sshd_reads_whole(keys):
    """OpenSSH 7.2, the first that knows `restrict`, reads 16,383 bytes of a line."""
    for file in keys.glob("*.pub"):
        assert len(key_line(public_key(str(file)), "10.0.0.0/8,192.168.0.0/16")) < 12_000


def test_command_offers_the_forms_that_there_are():
    """The names of the option's values are those of the printer."""
    (option,) = (param for param in command.params if param.name == "form")
    assert tuple(option.type.choices) == FORMS


def test_command_without_a_key_says_which_options_name_one(tmp_path, monkeypatch):
    """A host for which no key is named, and none of the usual ones is there, names the way out."""
    monkeypatch.setenv("HOME", str(tmp_path))
    run = _run(tmp_path, HOSTS, "web1")
    assert isinstance(run.exception, UsageError)
    assert str(run.exception).startswith("web1: no key is named for it")
    assert "--public-key FILE" in str(run.exception)


def test_command_takes_the_one_usual_key(keys, tmp_path, monkeypatch):
    """Where none is named a login tries the usual files: one of them is it, two are a question."""
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / ".ssh"
    folder.mkdir()
    for end in ("", ".pub"):
        shutil.copy(f"{keys}/ed25519256{end}", folder / f"id_ed25519{end}")
    run = _run(tmp_path, HOSTS, "web1")
    assert (folder / "id_ed25519.pub").read_text().strip() in run.output
    for end in ("", ".pub"):
        shutil.copy(f"{keys}/rsa2048{end}", folder / f"id_rsa{end}")
    run = _run(tmp_path, HOSTS, "web1")
    assert "any may be meant" in str(run.exception)


def test_sudoers_need_no_key(tmp_path, monkeypatch):
    """What `fleet check` advises works where no key is named: a line of sudoers holds none."""
    monkeypatch.setenv("HOME", str(tmp_path))
    run = _run(tmp_path, HOSTS, "--format", "sudoers", "db")
    assert run.exception is None
    assert "NOPASSWD" in run.output
    assert "ssh-" not in run.output


def test_public_key_of_another_private_one_is_refused(keys, tmp_path):
    """A key that was changed, and its old FILE.pub: the nodes would let the old one in."""
    for source, name in (("ed25519256", "key"), ("rsa2048.pub", "key.pub")):
        shutil.copy(keys / source, tmp_path / name)
    run = _run(tmp_path, HOSTS, "--private-key", str(tmp_path / "key"), "web1")
    assert isinstance(run.exception, UsageError)
    assert "key.pub: not of the private key beside it" in str(run.exception)
    assert f"ssh-keygen -y -f {tmp_path / 'key'}" in str(run.exception)


def test_command_goes_on_without_a_host_that_cannot_be_used(keys, tmp_path):
    """Its reason is said, the others are printed, and the exit status tells."""
    broken = HOSTS.replace("web[1:3]:", "web[1:3]:\n    bad: {ansible_port: 0}")
    words = ["--public-key", str(keys / "rsa2048.pub")]
    file = tmp_path / "inventory.yaml"
    file.write_text(broken)
    run = CliRunner().invoke(
        command, ["-i", str(file), "-F", "none", *words], standalone_mode=False
    )
    assert run.return_value == 3
    assert "fleet: bad: bad_config: " in run.output
    assert "# web[1-3]" in run.output


def test_command_refuses_a_path_that_sudoers_would_misread(tmp_path):
    """--docker is one absolute path."""
    run = _run(tmp_path, HOSTS, "--docker", "/opt/*", "web1")
    assert isinstance(run.exception, UsageError)
    assert str(run.exception).startswith("--docker: ")
