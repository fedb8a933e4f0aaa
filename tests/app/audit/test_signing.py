"""A log is signed with one key."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from app.audit import signing
from app.audit.verification import notes

ORIGIN = "servicebook/00000000-0000-0000-0000-000000000007"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "audit_key.pem"


def signed(key: ed25519.Ed25519PrivateKey) -> str:
    return signing.Signer(origin=ORIGIN, key=key).checkpoint(size=3, root=bytes(32))


def test_a_log_without_a_checkpoint_gets_a_key_which_stays(file: Path) -> None:
    made = signing.open_key(file, last_note="")

    assert file.stat().st_mode & 0o077 == 0
    for last_note in ("", signed(made)):
        found = signing.open_key(file, last_note=last_note)
        assert found.private_bytes_raw() == made.private_bytes_raw()


def test_a_key_that_is_gone_is_not_replaced(file: Path) -> None:
    last_note = signed(ed25519.Ed25519PrivateKey.generate())

    with pytest.raises(signing.SigningKeyError, match="put back the key") as caught:
        signing.open_key(file, last_note=last_note)

    assert f"{file} (SERVICEBOOK_AUDIT_KEY) is not there" in str(caught.value)
    assert not file.parent.exists()


def test_another_key_is_refused_by_the_name_of_the_one_that_signed(file: Path) -> None:
    signing.open_key(file, last_note="")
    key = ed25519.Ed25519PrivateKey.generate()
    name = notes.VerifierKey.parse(signing.Signer(origin=ORIGIN, key=key).verifier_key)

    with pytest.raises(signing.SigningKeyError, match=name.key_id.hex()) as caught:
        signing.open_key(file, last_note=signed(key))

    assert f"which is not the key {file} (SERVICEBOOK_AUDIT_KEY)" in str(caught.value)
