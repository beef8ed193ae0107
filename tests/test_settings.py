"""Settings: what the command line and the environment may say, and what every error says."""

import os
import resource
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import UsageError
from fleet.questdb_conf import (
    NUMBERS,
    QuestDB,
    Secret,
    parse_conf,
    questdb_from,
)
from fleet.settings import MaxFailed, Settings, forks_carried, settings_from
from fleet.tables import TableNames

SECRET = "hunter2;and more"


def _refused(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse_conf(text, "ORIGIN")
    assert str(caught.value).startswith("ORIGIN: ")
    return str(caught.value).removeprefix("ORIGIN: ")


# --- the configuration string


def test_the_default_is_this_machine() -> None:
    """Nothing said means QuestDB on localhost, and its port."""
    assert questdb_from(None, None, {}) == QuestDB("http", "localhost", 9000)


@pytest.mark.parametrize(
    ("addr", "host", "port", "address"),
    [
        ("localhost:9000", "localhost", 9000, "localhost:9000"),
        ("db", "db", 9000, "db:9000"),
        ("db-1.example_x.com:1", "db-1.example_x.com", 1, "db-1.example_x.com:1"),
        ("[::1]:65535", "::1", 65535, "[::1]:65535"),
        ("[fd00::10]", "fd00::10", 9000, "[fd00::10]:9000"),
    ],
)
def test_addresses(addr: str, host: str, port: int, address: str) -> None:
    """A name, an IPv4 or a bracketed IPv6 address; the port is 9000 unless it is given."""
    target = parse_conf(f"http::addr={addr};", "x")
    assert (target.host, target.port, target.address) == (host, port, address)


def test_every_key_has_its_place() -> None:
    """All keys of the official client for HTTP are read."""
    target = parse_conf(
        "https::addr=db:9001;username=joe;password=hunter2;;and more;tls_roots=/ca.pem;"
        "tls_ca=pem_file;tls_verify=on;request_timeout=1;request_min_throughput=0;"
        "retry_timeout=0;retry_max_backoff_millis=10;init_buf_size=1024;max_buf_size=65536;"
        "max_name_len=127",
        "x",
    )
    assert target == QuestDB(
        "https",
        "db",
        9001,
        "joe",
        Secret(SECRET),
        None,
        "/ca.pem",
        request_timeout_ms=1,
        request_min_throughput=0,
        retry_timeout_ms=0,
        retry_max_backoff_ms=10,
        init_buf_size=1024,
        max_buf_size=65536,
        max_name_len=127,
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected http::addr=HOST:PORT;key=value;"),
        ("http://db:9000", "expected http::addr=HOST:PORT;key=value;"),
        ("ftp::addr=db;", "expected http::addr=HOST:PORT;key=value; (or https::)"),
        (
            "tcp::addr=db:9009;",
            "tcp:: loses rows silently: nobody answers whether they were stored; use http::",
        ),
        (
            "tcps::addr=db:9009;",
            "tcps:: loses rows silently: nobody answers whether they were stored; use https::",
        ),
        ("ws::addr=db;", "ws:: is not supported by this version of fleet; use http::"),
        ("wss::addr=db;", "wss:: is not supported by this version of fleet; use https::"),
        ("http::", "addr=HOST:PORT is missing"),
        ("http::username=a;password=b;", "addr=HOST:PORT is missing"),
        ("http::addr=db;addr=db2;", "addr is given twice"),
        ("http::addr=a:1,b:2;", "addr takes one address: fleet writes to one QuestDB"),
        ("http::addr=;", "addr is empty"),
        ("http::addr=db:0;", "addr: a port is 1 to 65535, not 0"),
        ("http::addr=db:65536;", "addr: a port is 1 to 65535, not 65536"),
        ("http::addr=db:http;", "addr: expected HOST:PORT, not 'db:http'"),
        ("http::addr=http://db;", "addr: expected HOST:PORT, not 'http://db'"),
        ("http::addr=d b;", "addr: expected HOST:PORT, not 'd b'"),
        ("http::addr=::1;", "addr: an IPv6 address stands in brackets: [::1]:9000, not '::1'"),
        ("http::addr=[::g]:9;", "addr: expected HOST:PORT, not '[::g]:9'"),
        ("http::addr=[1.2]:9;", "addr: '1.2' is not an IPv6 address"),
        ("http::addr=db;foo=1;", "unknown key 'foo'"),
        ("http::addr=db;usrname=joe;", "unknown key 'usrname' (did you mean username?)"),
        ("http::addr=db;user=joe;", "unknown key 'user' (did you mean username?)"),
        ("http::addr=db; token=x;", "unknown key ' token' (did you mean token?)"),
        (
            "http::addr=db;retry_max_backoff=5;",
            "unknown key 'retry_max_backoff' (did you mean retry_max_backoff_millis?)",
        ),
        ("http::addr=db;auto_flush=on;", "auto_flush is set by fleet: leave it out"),
        ("http::addr=db;auto_flush_rows=1;", "auto_flush_rows is set by fleet: leave it out"),
        ("http::addr=db;protocol_version=1;", "protocol_version is set by fleet: leave it out"),
        (
            "http::addr=db;request_timeout=0;",
            "request_timeout: expected a whole number from 1 to 600000, not '0'",
        ),
        (
            "http::addr=db;retry_timeout=1.5;",
            "retry_timeout: expected a whole number from 0 to 600000, not '1.5'",
        ),
        (
            "http::addr=db;max_buf_size=64k;",
            "max_buf_size: expected a whole number from 65536 to 1073741824, not '64k'",
        ),
        ("http::addr=db;username=joe;", "username is given without password"),
        ("http::addr=db;password=x;", "password is given without username"),
        (
            "http::addr=db;token=x;username=joe;",
            "token goes without username and password: give the one or the other",
        ),
        ("http::addr=db;username=a:b;password=x;", "username cannot hold a ':'"),
        ("http::addr=db;token=a b;", "token can only hold printable ASCII without spaces"),
        ("http::addr=db;tls_roots=/ca.pem;", "tls_roots needs https::"),
        (
            "https::addr=db;tls_verify=unsafe_off;",
            "tls_verify can only be on: to trust a certificate of your own, name it, or its "
            "CA's, with tls_roots=FILE",
        ),
        (
            "https::addr=db;tls_ca=webpki_roots;",
            "tls_ca can only be os_roots (the system's certificates, the default) or pem_file "
            "(with tls_roots=FILE)",
        ),
        ("https::addr=db;tls_ca=pem_file;", "tls_roots=FILE and tls_ca=pem_file go together"),
        (
            "https::addr=db;tls_ca=os_roots;tls_roots=/x;",
            "tls_roots=FILE and tls_ca=pem_file go together",
        ),
        (
            "http::addr=db;\nusername=joe;",
            "a control character ('\\n') cannot stand in a configuration",
        ),
        ("http::addr=db;joe;", "part 2 is not key=value (a ';' inside a value is written ';;')"),
        ("http::addr=db;;x;", "addr: expected HOST:PORT, not 'db;x'"),
    ],
)
def test_what_cannot_be_used_is_said(text: str, message: str) -> None:
    """One clear sentence for each way to be wrong, led by where the text came from."""
    assert _refused(text) == message


@pytest.mark.parametrize(
    "text",
    [
        "http::addr=db;username=joe;password=hunter2;hunter3=more;",
        "http::addr=db;username=joe;password=x;hunter2;",
        "http::addr=db;token=x;hunter2=1;",
        "http::addr=db;pasword=hunter2;",
        "http::addr=db;password=hunter2;",
        "http::addr=db;username=joe;password=hunter2;password=hunter2;",
        "http::addr=db;token=hunter2 ;",
        "http::addr=joe:hunter2@db;",
        "http:addr=db;token=hunter2;",
        "hunter2::token=hunter2;",
        "http::addr=db;token=hunter2\n;",
    ],
)
def test_no_error_shows_a_secret(text: str) -> None:
    """Not even a part of one that a forgotten ';;' has cut off."""
    assert "hunter" not in _refused(text)


def test_a_cut_secret_is_explained() -> None:
    """A password with a single ';' gets the hint that it needs."""
    assert _refused("http::addr=db;username=joe;password=a;b=c;") == (
        "an unknown key follows password (a ';' inside a value is written ';;')"
    )


def test_secrets_are_masked_wherever_a_target_is_printed() -> None:
    """`repr`, `str`, a format string: none of them shows a password or a token."""
    for login in (
        {"username": "joe", "password": Secret("hunter2")},
        {"token": Secret("hunter2")},
    ):
        target = QuestDB(**login)  # type: ignore[arg-type]
        settings = Settings(questdb=target)
        for text in (repr(target), str(target), f"{target}", repr(settings), f"{settings}"):
            assert "hunter2" not in text
            assert "***" in text


def test_a_target_prints_as_it_was_meant() -> None:
    """The configuration string again, without what is default."""
    text = "https::addr=db:9000;username=joe;password=***;tls_roots=/ca;;1.pem;retry_timeout=5;"
    assert str(parse_conf(text, "x")) == text


_values = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1)


@given(
    username=_values.filter(lambda text: ":" not in text),
    password=_values,
    port=st.integers(1, 65535),
    numbers=st.fixed_dictionaries(
        {}, optional={field: st.integers(least, most) for field, least, most in NUMBERS.values()}
    ),
)
def test_what_is_written_is_read(
    username: str, password: str, port: int, numbers: dict[str, int]
) -> None:
    """Any target survives the way through the client's string, whatever its password holds."""
    target = QuestDB("http", "db", port, username, Secret(password), **numbers)
    shown = str(target)
    pairs = {"addr": f"db:{port}", "username": username, "password": password}
    pairs |= {
        key: str(numbers[field]) for key, (field, _, _) in NUMBERS.items() if field in numbers
    }
    text = "".join(f"{key}={value.replace(';', ';;')};" for key, value in pairs.items())
    assert parse_conf(f"http::{text}", "x") == target
    assert parse_conf(shown, "x") == replace(target, password=Secret("***"))


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text has another end than a target or one sentence."""
    for candidate in (text, f"http::{text}", f"http::addr={text}", f"http::addr=db;{text}"):
        try:
            said = str(parse_conf(candidate, "x"))
        except UsageError as error:
            said = str(error)
        assert said.isprintable() or not candidate.isprintable()


def test_what_servers_repeat_is_redacted() -> None:
    """A server that answers with our login does not bring it into an error text."""
    target = QuestDB(username="joe", password=Secret("hunter2"))
    assert target.authorization == "Basic am9lOmh1bnRlcjI="
    assert target.redact("no: am9lOmh1bnRlcjI= (hunter2)") == "no: *** (***)"


# --- where it comes from


def test_the_flag_wins_over_the_file_over_the_environment(tmp_path: Path) -> None:
    """What stands nearer to the command wins; an empty variable is none."""
    file = tmp_path / "questdb.conf"
    file.write_text("http::addr=file;")
    environ = {"QDB_CLIENT_CONF": "http::addr=environment;"}
    assert questdb_from("http::addr=flag;", None, environ).host == "flag"
    assert questdb_from(None, str(file), environ).host == "file"
    assert questdb_from(None, None, environ).host == "environment"
    assert questdb_from(None, None, {"QDB_CLIENT_CONF": ""}).host == "localhost"


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    """Some editors write one; it is no part of the configuration."""
    file = tmp_path / "questdb.conf"
    file.write_bytes(b"\xef\xbb\xbfhttp::addr=file;\n")
    assert questdb_from(None, str(file), {}).host == "file"


def test_a_file_without_a_name_is_said() -> None:
    """`--questdb-file "$UNSET"` is neither the folder nor the default."""
    with pytest.raises(UsageError) as caught:
        questdb_from(None, "", {})
    assert str(caught.value) == "--questdb-file: expected a file, not an empty name"


@pytest.mark.parametrize(
    ("flags", "environ", "message"),
    [
        ({"inventory": ("",)}, {}, "-i: expected a file or a folder, not an empty name"),
        ({"inventory": ("a", "")}, {}, "-i: expected a file or a folder, not an empty name"),
        ({"inventory": ("-", "-")}, {}, "-i: standard input (-) can be read once only"),
    ],
)
def test_inventories_that_are_no_file(flags, environ, message) -> None:
    """An empty name would be the default; standard input has one end."""
    with pytest.raises(UsageError) as caught:
        settings_from(flags, environ)
    assert str(caught.value) == message


def test_two_flags_are_one_too_many() -> None:
    """There is no guessing which of two was meant."""
    with pytest.raises(UsageError) as caught:
        questdb_from("http::addr=a;", "b", {})
    assert str(caught.value) == (
        "--questdb and --questdb-file name the same thing: give one of them"
    )


@pytest.mark.parametrize(
    ("login", "key"),
    [("username=joe;password=hunter2;", "password"), ("token=hunter2;", "token")],
)
def test_a_secret_in_a_flag_is_refused(login: str, key: str) -> None:
    """It would stand in the process list; the ways out are named."""
    with pytest.raises(UsageError) as caught:
        questdb_from(f"http::addr=db;{login}", None, {})
    assert str(caught.value) == (
        f"--questdb: {key} would stand in the process list, for every user of this machine to "
        "read; put the text into QDB_CLIENT_CONF or into a file (--questdb-file)"
    )


def test_errors_name_where_the_text_came_from(tmp_path: Path) -> None:
    """The flag, the variable, or the file as it was given."""
    file = tmp_path / "questdb.conf"
    file.write_text("http::addr=db;foo=1;")
    bad = "http::addr=db;foo=1;"
    for origin, arguments in {
        "--questdb": (bad, None, {}),
        "QDB_CLIENT_CONF": (None, None, {"QDB_CLIENT_CONF": bad}),
        str(file): (None, str(file), {}),
    }.items():
        with pytest.raises(UsageError) as caught:
            questdb_from(*arguments)
        assert str(caught.value) == f"{origin}: unknown key 'foo'"


@pytest.mark.parametrize(
    "text",
    [
        "http::addr=db;token=x;",
        "http::addr=db;token=x;\n",
        "# of the monitoring team\n\n  # rotated monthly\nhttp::addr=db;token=x;\r\n",
    ],
)
def test_a_file_may_explain_itself(tmp_path: Path, text: str) -> None:
    """Comments, empty lines and the line's end are no part of the configuration."""
    file = tmp_path / "questdb.conf"
    file.write_bytes(text.encode())
    assert questdb_from(None, str(file), {}) == QuestDB(host="db", token=Secret("x"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected one line, http::addr=HOST:PORT;key=value;, beside comments (#)"),
        (
            b"http::addr=a;\nhttp::addr=b;\n",
            "expected one line, http::addr=HOST:PORT;key=value;, beside comments (#)",
        ),
        (b"#" * 70_000, "expected one line, http::addr=HOST:PORT;key=value;, beside comments (#)"),
        (b"http::addr=\xff;", "not a text in UTF-8"),
    ],
)
def test_a_file_that_is_no_configuration(tmp_path: Path, content: bytes, message: str) -> None:
    """A file that cannot be meant is refused by its name."""
    file = tmp_path / "questdb.conf"
    file.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        questdb_from(None, str(file), {})
    assert str(caught.value) == f"{file}: {message}"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """The system's own reason is passed on."""
    for path, reason in {"none": "No such file or directory", "": "Is a directory"}.items():
        file = tmp_path / path
        with pytest.raises(UsageError) as caught:
            questdb_from(None, str(file), {})
        assert str(caught.value) == f"{file}: {reason}"


# --- the whole command


def _all(wanted: int) -> int:
    return wanted


def test_nothing_given_is_the_default() -> None:
    """A command line without a flag, in an empty environment, is `Settings()`."""
    flags = dict.fromkeys(("forks", "limit", "private_key", "questdb", "table", "verbose"))
    flags |= dict.fromkeys(("state_dir", "wait_lock", "publish_timeout", "drain_seconds"))
    flags |= dict.fromkeys(("spool_max_age", "spool_max_bytes"))
    home = os.path.expanduser("~/.local/state/fleet")
    assert settings_from(flags, {}, carried=_all) == Settings(state_dir=home)
    assert settings_from({}, {}, carried=_all) == Settings(state_dir=home)


def test_flags_become_settings(tmp_path: Path) -> None:
    """Every flag has its place."""
    key, known = tmp_path / "key", tmp_path / "known_hosts"
    key.touch()
    known.touch()
    flags = {
        "inventory": ("fleet.yaml", "~/more"),
        "patterns": ("web", "db"),
        "limit": "eu",
        "forks": 5,
        "connect_timeout": 1.5,
        "timeout": 20.0,
        "deadline": 60.0,
        "max_failed": "10%",
        "name": "nightly",
        "wait_lock": 90.0,
        "state_dir": "/var/lib/fleet",
        "publish_timeout": 2.5,
        "drain_seconds": 0.0,
        "spool_max_age": "12h",
        "spool_max_bytes": "500MB",
        "private_key": str(key),
        "known_hosts": str(known),
        "ssh_config": "none",
        "failed": True,
        "many_labels": True,
        "questdb": "http::addr=db;",
        "table": "a",
        "status_table": "b",
        "sweep_table": "c",
        "state_table": "d",
        "node_table": "e",
        "disk_table": "f",
        "source": "kernel",
        "verbose": True,
        "quiet": False,
    }
    settings = settings_from(flags, {}, carried=_all)
    assert settings == Settings(
        ("fleet.yaml", os.path.expanduser("~/more")),
        ("web", "db"),
        "eu",
        5,
        1.5,
        True,
        20.0,
        60.0,
        MaxFailed(percent=10),
        "nightly",
        90.0,
        "/var/lib/fleet",
        2.5,
        0.0,
        12 * 3600.0,
        500_000_000,
        str(key),
        str(known),
        "none",
        "kernel",
        True,
        True,
        QuestDB(host="db"),
        TableNames("a", "b", "c", "d", "e", "f"),
        1,
    )
    assert (settings.verbose, settings.quiet) == (True, False)


def test_the_environment_speaks_where_no_flag_does(tmp_path: Path) -> None:
    """Inventory, login key, QuestDB and the state's folder may come from the environment; a flag
    wins.
    """
    flagged = tmp_path / "flagged"
    flagged.touch()
    key = tmp_path / "key"
    key.touch()
    environ = {
        "FLEET_INVENTORY": "environment.yaml, more.yaml",
        "FLEET_SSH_KEY_FILE": str(key),
        "QDB_CLIENT_CONF": "http::addr=environment;",
        "FLEET_STATE_DIR": "/environment",
    }
    settings = settings_from({}, environ, carried=_all)
    assert settings.inventory == ("environment.yaml", "more.yaml")
    assert settings.private_key == str(key)
    assert settings.questdb.host == "environment"
    assert settings.state_dir == "/environment"
    flags = {
        "inventory": ("flag.yaml",),
        "private_key": str(flagged),
        "questdb": "http::addr=flag;",
        "state_dir": "~/flag",
    }
    settings = settings_from(flags, environ, carried=_all)
    assert settings.inventory == ("flag.yaml",)
    assert settings.private_key == str(flagged)
    assert settings.questdb.host == "flag"
    assert settings.state_dir == os.path.expanduser("~/flag")


def test_publishing_is_tried_as_long_as_the_configuration_says() -> None:
    """`retry_timeout` is how long, unless the flag says otherwise; its default is the client's."""
    for text, flags, seconds in (
        ("http::addr=db;", {}, 10.0),
        ("http::addr=db;retry_timeout=2500;", {}, 2.5),
        ("http::addr=db;retry_timeout=0;", {}, 0.0),
        ("http::addr=db;retry_timeout=2500;", {"publish_timeout": 0.0}, 0.0),
        ("http::addr=db;retry_timeout=2500;", {"publish_timeout": 60.0}, 60.0),
    ):
        settings = settings_from(flags, {"QDB_CLIENT_CONF": text}, carried=_all)
        assert settings.publish_timeout_s == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("60s", 60),
        ("1min", 60),
        ("90 m", 5400),
        (" 12h ", 43_200),
        ("7d", 604_800),
        ("3650d", 3650 * 86_400),
    ],
)
def test_ages(text: str, seconds: float) -> None:
    """A number and its unit."""
    assert settings_from({"spool_max_age": text}, {}, carried=_all).spool_max_age_s == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1048576", 2**20),
        ("1048576B", 2**20),
        ("2000kB", 2_000_000),
        ("500MB", 500_000_000),
        ("1GB", 10**9),
        ("1 TB", 10**12),
        ("1024KiB", 2**20),
        ("1MiB", 2**20),
        ("1GiB", 2**30),
        ("2TiB", 2**41),
    ],
)
def test_sizes(text: str, size: int) -> None:
    """Bytes, decimal or binary."""
    assert settings_from({"spool_max_bytes": text}, {}, carried=_all).spool_max_bytes == size


def test_no_home_is_no_state_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no place for one, that is no error of the command line's."""
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert settings_from({}, {}, carried=_all).state_dir == ""


def test_a_command_without_questdb_is_not_hindered_by_it() -> None:
    """`snapshot` works although QDB_CLIENT_CONF is another program's."""
    environ = {"QDB_CLIENT_CONF": "ws::addr=db;"}
    settings = settings_from({}, environ, questdb=False, carried=_all)
    assert settings == Settings(state_dir=settings.state_dir)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"forks": 0}, "--forks: expected 1 to 10000, not 0"),
        ({"forks": 10_001}, "--forks: expected 1 to 10000, not 10001"),
        ({"timeout": 0.5}, "--timeout: expected 1 to 999 seconds, not 0.5"),
        ({"timeout": 1000}, "--timeout: expected 1 to 999 seconds, not 1000"),
        ({"timeout": float("nan")}, "--timeout: expected 1 to 999 seconds, not nan"),
        ({"connect_timeout": 0}, "--connect-timeout: expected 0.1 to 999 seconds, not 0"),
        ({"deadline": -1}, "--deadline: expected 1 to 86400 seconds, not -1"),
        ({"deadline": float("inf")}, "--deadline: expected 1 to 86400 seconds, not inf"),
        ({"max_failed": "x"}, "--max-failed: expected N or N% (0% to 100%), not 'x'"),
        ({"max_failed": "-1"}, "--max-failed: expected N or N% (0% to 100%), not '-1'"),
        ({"max_failed": "101%"}, "--max-failed: expected N or N% (0% to 100%), not '101%'"),
        ({"max_failed": "1.5%"}, "--max-failed: expected N or N% (0% to 100%), not '1.5%'"),
        (
            {"name": "a b"},
            "--name: expected 1 to 64 letters, digits, '_', '.' or '-', not 'a b'",
        ),
        ({"name": ".."}, "--name: '..' cannot begin with a '.'"),
        ({"name": ""}, "--name: expected 1 to 64 letters, digits, '_', '.' or '-', not ''"),
        ({"wait_lock": -1}, "--wait-lock: expected 0 to 86400 seconds, not -1"),
        ({"wait_lock": float("nan")}, "--wait-lock: expected 0 to 86400 seconds, not nan"),
        ({"state_dir": ""}, "--state-dir: expected a folder, not an empty name"),
        (
            {"publish_timeout": 86_401},
            "--publish-timeout: expected 0 to 86400 seconds, not 86401",
        ),
        ({"drain_seconds": -0.5}, "--drain-seconds: expected 0 to 86400 seconds, not -0.5"),
        *(
            (
                {"spool_max_age": text},
                f"--spool-max-age: expected a time from 1min to 3650d, as 7d or 12h, not {text!r}",
            )
            for text in ("", "7", "59s", "7w", "7D", "1.5h", "-1d", "3651d", "d", "0d", "9" * 20)
        ),
        *(
            (
                {"spool_max_bytes": text},
                "--spool-max-bytes: expected a size of 1MiB or more, as 500MB or 1GiB, not "
                f"{text!r}",
            )
            for text in ("", "0", "1048575", "1KiB", "1mb", "1G", "1.5GiB", "-1MiB", "1Mib")
        ),
        (
            {"private_key": "/nonexistent/key"},
            "--private-key: /nonexistent/key: No such file or directory",
        ),
        ({"known_hosts": "/"}, "--known-hosts: /: Is a directory"),
        ({"table": ""}, "--table: '' cannot be the name of a table: it is empty"),
        ({"table": "a/b"}, "--table: 'a/b' cannot be the name of a table: it holds '/'"),
        (
            {"status_table": 'a"b'},
            "--status-table: 'a\"b' cannot be the name of a table: it holds '\"'",
        ),
        (
            {"table": "é" * 64},
            f"--table: {'é' * 64!r} cannot be the name of a table: it is longer than 127 bytes",
        ),
        (
            {"sweep_table": ".a"},
            "--sweep-table: '.a' cannot be the name of a table: "
            "dots and spaces stand inside, and dots alone",
        ),
        (
            {"table": "sys.stats"},
            "--table: 'sys.stats' cannot be the name of a table: "
            "QuestDB keeps such names for itself",
        ),
        (
            {"table": "hoststatus"},
            "--table, --status-table, --sweep-table, --state-table, --node-table, --disk-table: "
            "each needs a name of its own, in any case of letters",
        ),
        (
            {"disk_table": "NODESTATS"},
            "--table, --status-table, --sweep-table, --state-table, --node-table, --disk-table: "
            "each needs a name of its own, in any case of letters",
        ),
        *(
            (
                {option: "a/b"},
                f"--{option.replace('_', '-')}: 'a/b' cannot be the name of a table: it holds '/'",
            )
            for option in ("state_table", "node_table", "disk_table")
        ),
    ],
)
def test_bounds(flags: dict[str, object], message: str) -> None:
    """One clear error for each value that cannot be used, led by its option."""
    with pytest.raises(UsageError) as caught:
        settings_from(flags, {}, carried=_all)
    assert str(caught.value) == message


@pytest.mark.parametrize("name", ["a b", "a.b", "a-b", "1", "Ärger", "a" * 127, "select"])
def test_names_that_questdb_takes(name: str) -> None:
    """QuestDB's own rules for names, no stricter."""
    assert settings_from({"table": name}, {}, carried=_all).tables.containers == name


@pytest.mark.parametrize(
    ("text", "failed", "total", "allowed"),
    [
        ("0", 0, 5, True),
        ("0", 1, 5, False),
        ("2", 2, 2, True),
        ("2", 3, 100, False),
        ("0%", 0, 0, True),
        ("0%", 1, 1000, False),
        ("10%", 1, 10, True),
        ("10%", 1, 9, False),
        ("33%", 33, 100, True),
        ("33%", 1, 3, False),
        ("100%", 7, 7, True),
    ],
)
def test_how_many_failures_are_well(text: str, failed: int, total: int, allowed: bool) -> None:
    """A number of hosts, or a share that is not rounded in anybody's favour."""
    allowance = MaxFailed.parse(text)
    assert allowance.allows(failed, total) is allowed
    assert str(allowance) == text


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "forks", "raised"),
    [
        (1024, 1024, 100, 100, None),
        (1024, 1024, 1000, 240, None),
        (256, 256, 100, 48, None),
        (256, 4096, 100, 100, 464),
        (256, 300, 100, 59, 300),
        (1024, -1, 1000, 1000, 4064),
        (-1, -1, 10_000, 10_000, None),
        (20, 20, 100, 1, None),
    ],
)
def test_forks_fit_the_open_files(
    monkeypatch: pytest.MonkeyPatch,
    soft: int,
    hard: int,
    wanted: int,
    forks: int,
    raised: int | None,
) -> None:
    """The soft limit is raised as far as needed and allowed; the rest is cut from the forks."""
    calls = []
    assert resource.RLIM_INFINITY == -1
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _kind, limits: calls.append(limits))
    assert forks_carried(wanted) == forks
    assert calls == ([] if raised is None else [(raised, hard)])


def test_a_sandbox_may_forbid_to_raise_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the run goes on with what there is."""

    def refuse(_kind: int, _limits: tuple[int, int]) -> None:
        raise PermissionError

    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (256, 4096))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert forks_carried(100) == 48
