"""Files of private keys, in whatever format people have them."""

import subprocess

import pytest

from fleet.transport.key_file import Encrypted, parsed


def _run(*words):
    subprocess.run([str(word) for word in words], check=True, capture_output=True)


@pytest.mark.parametrize("form", ["RFC4716", "PEM", "PKCS8"])
@pytest.mark.parametrize("kind", ["rsa", "ecdsa", "ed25519"])
@pytest.mark.parametrize("passphrase", ["", "a secret"])
def test_every_format_is_read(tmp_path, form, kind, passphrase):
    """What ssh-keygen writes, ssh and we read; the public half is the same."""
    file = tmp_path / "k"
    _run("ssh-keygen", "-q", "-t", kind, "-m", form, "-N", passphrase, "-f", file)
    if passphrase:
        with pytest.raises(Encrypted):
            parsed(str(file), None)
        with pytest.raises(ValueError, match=r"\w"):
            parsed(str(file), b"wrong")
    key = parsed(str(file), passphrase.encode() or None)
    assert (tmp_path / "k.pub").read_text().split()[1] == key.get_base64()


def test_words_before_the_key_are_passed_over(tmp_path):
    """As openssl writes them ("Bag Attributes")."""
    file = tmp_path / "k"
    _run("ssh-keygen", "-q", "-t", "rsa", "-m", "PEM", "-N", "", "-f", file)
    file.write_text("Bag Attributes\n    friendlyName: x\n" + file.read_text())
    assert parsed(str(file), None).get_name() == "ssh-rsa"


@pytest.mark.parametrize("text", ["", "garbage", "ssh-ed25519 AAAA x\n"])
def test_certificate_that_cannot_be_read_spoils_no_key(tmp_path, text):
    """ssh goes on without it."""
    file = tmp_path / "k"
    _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file)
    (tmp_path / "k-cert.pub").write_text(text)
    assert parsed(str(file), None).public_blob is None


@pytest.mark.parametrize("text", ["", "hello", "-----BEGIN RSA\n", "-----BEGIN OPENSSH\nbm8=\n"])
def test_what_is_no_key_is_a_value_error(tmp_path, text):
    """Whatever stands there."""
    (tmp_path / "k").write_text(text)
    with pytest.raises(ValueError, match=r"\w"):
        parsed(str(tmp_path / "k"), None)
