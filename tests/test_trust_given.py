"""`--from FILE`: console outputs, known_hosts, lines of ssh-keygen, and what is none of them."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as some

from fleet.errors import UsageError
from fleet.trust.given import Given, Verdict, given_by
from tests.trust_texts import BOOTED, BOOTING, MadeKey, block, made, whole

EVERY = [made("ecdsa"), made("ed25519"), made("rsa")]
OTHERS = [made("ecdsa", "b"), made("ed25519", "b"), made("rsa", "b")]
NAMES = ("[10.0.0.1]:2222",)


def read(text: str) -> Given:
    """One file."""
    return given_by([("console.txt", text)])


def prints(text: str) -> list[tuple[str | None, str]]:
    """Families and fingerprints that hold without a name."""
    return [(one.family, one.fingerprint) for one in read(text).prints]


def of(keys: list[MadeKey]) -> list[tuple[str | None, str]]:
    """The same of keys."""
    return [(key.family, key.fingerprint) for key in keys]


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "ec2: ",
        "<14>Nov 25 09:00:13 ec2: ",
        "<14>Nov 25 09:00:13 cloud-init: ",
        "[   13.902211] cloud-init[601]: ",
        "2026-11-25T09:00:13.123456+00:00 ip-172-31-5-9 ec2: ",
        "ci-info: ",
        "\x1b[0;32mec2:\x1b[0m ",
    ],
)
def test_fingerprints_of_a_console(prefix: str) -> None:
    """The block is found behind whatever a console puts before its lines."""
    assert prints(BOOTING + block(EVERY, prefix) + BOOTED) == of(EVERY)


@pytest.mark.parametrize("ending", ["\r\n", "\r\r\n", "\x1b[K\r\n", "\x00\r\n"])
def test_endings_of_lines(ending: str) -> None:
    """Consoles end their lines as terminals do."""
    text = (BOOTING + block(EVERY) + whole(EVERY) + BOOTED).replace("\n", ending)
    assert prints(text) == of(EVERY) * 2


def test_whole_keys_of_a_console() -> None:
    """The block of whole keys counts as its fingerprints."""
    assert prints(BOOTING + whole(EVERY) + BOOTED) == of(EVERY)


def test_kernel_lines_between() -> None:
    """What the kernel prints within the block is passed over, and a torn line with it."""
    lines = block(EVERY).splitlines(keepends=True)
    lines.insert(
        4, "[   13.911111] audit: type=1400 256 SHA256:short (RSA) | ssh-rsa AAAAB3Nza |\n"
    )
    lines[5] = lines[5][:30] + "[   13.922222] random: crng init done\n" + lines[5][30:]
    assert prints("".join(lines)) == of([EVERY[0], EVERY[2]])


def test_a_torn_key_between() -> None:
    """A whole key that was cut, or that another line stands in, is no key."""
    text = whole(EVERY)
    cut = text.replace(EVERY[1].text, EVERY[1].text[:-8])
    assert prints(cut) == of([EVERY[0], EVERY[2]])


def test_a_key_of_another_type() -> None:
    """A key whose bytes say another type than its line is none."""
    lines = whole(EVERY).replace("ssh-rsa AAAA", "ssh-dss AAAA")
    assert prints(lines) == of(EVERY[:2])
    with pytest.raises(UsageError, match="expected"):
        read(f"web1 {EVERY[2].text}".replace("ssh-rsa", "ssh-dss"))


def test_users_keys_are_no_host_keys() -> None:
    """cloud-init's table of users' keys does not vouch for a host, within a block either."""
    user = made("ed25519", "user")
    row = f"ci-info: | ssh-ed25519 | {user.fingerprint} |    -    | ops@desk |\n"
    lines = block(EVERY).splitlines(keepends=True)
    assert prints(row + "".join([*lines[:4], row, *lines[4:]])) == of(EVERY)


def test_the_last_boot_counts() -> None:
    """Of two boots in one console the last one's keys hold, none of the first one's."""
    first = BOOTING + block(OTHERS) + whole(OTHERS) + BOOTED
    assert prints(first + BOOTING + block(EVERY) + whole(EVERY) + BOOTED) == of(EVERY) * 2


def test_the_last_boot_counts_before_it_is_through() -> None:
    """A boot that has printed its fingerprints only is not mended by an earlier one's keys."""
    first = block(OTHERS) + whole(OTHERS)
    assert prints(first + block(EVERY)) == of(EVERY)
    assert prints(first + whole(EVERY)) == of(EVERY)
    assert prints(whole(OTHERS) + block(EVERY)) == of(EVERY)


def test_a_block_that_has_no_end_yet() -> None:
    """The lines that are there hold, without the one that was cut."""
    text = block(EVERY)
    cut = text[: text.index(EVERY[2].fingerprint) + 20]
    assert prints(BOOTING + cut) == of(EVERY[:2])


def test_a_block_without_a_beginning() -> None:
    """Where the ring has eaten the beginning, nothing holds, and the way out is named."""
    text = block(EVERY)
    cut = text[text.index("256") :]
    with pytest.raises(UsageError, match=r"console\.txt: the beginning .+ missing: fetch"):
        read(cut)


def test_an_empty_block() -> None:
    """cloud-init can be told to print no keys."""
    with pytest.raises(UsageError, match="last block of host keys is empty"):
        read(block(EVERY) + block([]))


def test_the_answer_of_ec2() -> None:
    """The JSON of get-console-output is read as what it holds."""
    console = (BOOTING + block(EVERY) + BOOTED).replace("\n", "\r\n")
    answer = {"InstanceId": "i-0abc", "Output": console, "Timestamp": "2026-11-25T09:01:00+00:00"}
    assert prints(json.dumps(answer, indent=4)) == of(EVERY)


def test_md5_of_a_console_is_refused() -> None:
    """MD5 fingerprints prove nothing; the line says why and what does."""
    text = block([]).replace("-----END", f"{made().md5}\nec2: -----END")
    with pytest.raises(UsageError, match=r"console\.txt:4: an MD5 fingerprint proves no key.+-lf"):
        read(text)


def test_md5_beside_whole_keys() -> None:
    """An old cloud-init prints MD5 and whole keys: the keys are enough."""
    text = block([]).replace("-----END", f"{made().md5}\nec2: -----END") + whole(EVERY)
    assert prints(text) == of(EVERY)


@pytest.mark.parametrize("line", [made().md5, made().md5.replace("256 ", "256 MD5:")])
def test_md5_of_a_list_is_refused(line: str) -> None:
    """MD5 is refused in plain lines as well, good ones beside it or not."""
    with pytest.raises(UsageError, match=r"console\.txt:2: an MD5 fingerprint"):
        read(f"{EVERY[0].listed()}\n{line}\n")


def test_plain_fingerprints() -> None:
    """Bare fingerprints, padded ones, lines of ssh-keygen and public keys are read."""
    ecdsa, ed25519, rsa = EVERY
    text = (
        f"# by phone\n\n{ecdsa.fingerprint}=\n{ed25519.listed('no comment')}\n{rsa.text} root@a\n"
    )
    assert prints(text) == [
        (None, ecdsa.fingerprint),
        ("ED25519", ed25519.fingerprint),
        ("RSA", rsa.fingerprint),
    ]
    assert read(text).nameless == "console.txt"


def test_known_hosts() -> None:
    """A known_hosts line holds for the hosts of its name, and no fingerprint is without one."""
    found = read(f"[10.0.0.1]:2222,web1 {EVERY[1].text}\n10.0.0.2 {OTHERS[1].text}\n")
    vouch = found.of(NAMES)
    assert found.nameless is None
    assert vouch is not None
    assert vouch.verdict(EVERY[1], EVERY) is Verdict.MATCH
    assert vouch.verdict(OTHERS[1], OTHERS) is Verdict.MISMATCH
    assert [one.place for one in vouch.against(OTHERS[1])] == ["console.txt:1"]
    assert found.of(("10.0.0.3",)) is None


def test_known_hosts_by_another_name() -> None:
    """The first name that the file has is the one that counts."""
    found = read(f"web1 {EVERY[1].text}\n10.0.0.1 {OTHERS[1].text}\n")
    vouch = found.of(("10.0.0.1", "web1"))
    assert vouch is not None
    assert vouch.verdict(EVERY[1], EVERY) is Verdict.MISMATCH


def test_known_hosts_revokes() -> None:
    """A key that the file marks is never a match, whatever else it says of it."""
    found = read(f"@revoked * {EVERY[1].text}\n[10.0.0.1]:2222 {EVERY[1].text}\n")
    vouch = found.of(NAMES)
    assert vouch is not None
    assert vouch.verdict(EVERY[1], EVERY) is Verdict.REVOKED


def test_lines_that_are_no_keys() -> None:
    """Beside known_hosts lines they are passed over, and named with their places."""
    found = read(f"web1 1024 35 1234567\nweb1 {EVERY[1].text}\nweb1 {EVERY[1].text[:-6]}\n")
    assert [warning.split(": ")[1] for warning in found.warnings] == [
        "console.txt:1",
        "console.txt:3",
    ]
    assert len(read(f"web1 {EVERY[1].text}\n" + "no key\n" * 1000).warnings) == 6


@pytest.mark.parametrize("text", ["", "\n\n# nothing\n", "\ufeff"])
def test_an_empty_file(text: str) -> None:
    """It is an error that says what was expected."""
    with pytest.raises(UsageError, match=r"console\.txt: it is empty: expected the console"):
        read(text)


def test_another_file() -> None:
    """It is an error with the place of the first line, which is shortened and escaped."""
    with pytest.raises(UsageError, match=r"console\.txt:2: expected .+, not '\\x1b\[2Jhello"):
        read("\n\x1b[2Jhello " + "x" * 500)


def test_a_console_without_blocks() -> None:
    """Fingerprints that cloud-init printed elsewhere vouch for nothing."""
    with pytest.raises(UsageError, match=r"console\.txt:1: expected"):
        read(BOOTING + BOOTED)


def test_families() -> None:
    """Another key of a family is a mismatch, another family none where something matches."""
    vouch = read(EVERY[1].listed()).of(NAMES)
    assert vouch is not None
    assert vouch.verdict(EVERY[2], EVERY) is Verdict.SILENT
    assert vouch.verdict(EVERY[2], [EVERY[2]]) is Verdict.MISMATCH
    assert vouch.verdict(OTHERS[1], [*EVERY, OTHERS[1]]) is Verdict.MISMATCH


def test_several_files() -> None:
    """What they say holds together."""
    texts = [("a", block(EVERY[:1])), ("b", f"[10.0.0.1]:2222 {EVERY[1].text}\n")]
    found = given_by(texts)
    vouch = found.of(NAMES)
    assert vouch is not None
    assert found.nameless == "a"
    assert [vouch.verdict(key, EVERY) for key in EVERY] == [
        Verdict.MATCH,
        Verdict.MATCH,
        Verdict.SILENT,
    ]


@given(some.text(max_size=300) | some.binary(max_size=300).map(lambda data: data.decode("latin-1")))
def test_any_text_is_answered(text: str) -> None:
    """Whatever a file holds, it is read or refused in one line."""
    lines = []
    for whole_text in (text, block(EVERY).replace("256", text + "\n256"), "{" + text):
        try:
            found = read(whole_text)
        except UsageError as error:
            lines.append(str(error))
        else:
            assert found.of(NAMES) is None or found.prints
    assert all(re.fullmatch(r"--from: console\.txt.+", line) for line in lines)


@given(some.integers(0, len(block(EVERY) + whole(EVERY))), some.integers(0, 2))
def test_a_cut_console_never_holds_more(length: int, side: int) -> None:
    """However a console is cut, no fingerprint comes out that it did not hold."""
    text = block(EVERY) + whole(EVERY)
    cut = text[:length] if side else text[length:]
    try:
        found = set(prints(cut))
    except UsageError:
        return
    assert {fingerprint for _family, fingerprint in found} <= {key.fingerprint for key in EVERY}
