"""Signed notes: against the published examples, and against damage."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from app.audit import signing
from app.audit.verification import notes

# The example of the format's reference implementation: the key pair, a text, its signature.
PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PRIVATE = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
SIGNATURE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb"
    "6KE6RyyBwJnAM=\n"
)
# The example of c2sp.org/tlog-checkpoint, whose key is not published.
BODY = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
FOREIGN = (
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2"
    "q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
)


def signer(origin: str = "example.com/behind-the-sofa") -> signing.Signer:
    return signing.Signer(
        origin=origin, key=ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    )


def test_published_note_is_verified() -> None:
    text, signers = notes.signed(TEXT + "\n" + SIGNATURE, keys=[notes.VerifierKey.parse(PUBLIC)])

    assert (text, signers) == (TEXT, {"PeterNeumann"})


def test_published_note_is_made() -> None:
    seed = base64.b64decode(PRIVATE)[1:]
    peter = signing.Signer(
        origin="PeterNeumann", key=ed25519.Ed25519PrivateKey.from_private_bytes(seed)
    )

    assert peter.verifier_key == PUBLIC
    assert peter.note(TEXT) == TEXT + "\n" + SIGNATURE


def test_published_checkpoint_is_read_and_made_beside_the_signature_of_another() -> None:
    own = signer()
    root = base64.b64decode("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=")
    note = own.checkpoint(size=20852163, root=root)
    assert note.startswith(BODY + "\n")

    opened = notes.opened(note + FOREIGN, keys=[notes.VerifierKey.parse(own.verifier_key)])

    assert opened == notes.Checkpoint("example.com/behind-the-sofa", 20852163, root)


def test_checkpoint_that_nobody_trusted_signed_is_refused() -> None:
    with pytest.raises(notes.NoteError, match="No key that is trusted"):
        notes.opened(BODY + "\n" + FOREIGN, keys=[notes.VerifierKey.parse(PUBLIC)])


def test_signature_of_another_log_does_not_count() -> None:
    other = signer("example.com/other")
    note = other.note(BODY)

    with pytest.raises(notes.NoteError, match="No key that is trusted"):
        notes.opened(note, keys=[notes.VerifierKey.parse(other.verifier_key)])


def test_every_damaged_byte_of_a_checkpoint_is_noticed() -> None:
    own = signer()
    keys = [notes.VerifierKey.parse(own.verifier_key)]
    data = own.checkpoint(size=7, root=bytes(32)).encode()

    for at in range(len(data)):
        for bit in range(8):
            damaged = data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]
            with pytest.raises((notes.NoteError, UnicodeDecodeError)):
                notes.opened(damaged.decode(), keys=keys)


def test_every_part_of_a_checkpoint_is_needed() -> None:
    own = signer()
    keys = [notes.VerifierKey.parse(own.verifier_key)]
    note = own.checkpoint(size=7, root=bytes(32))

    for end in range(len(note)):
        with pytest.raises(notes.NoteError):
            notes.opened(note[:end], keys=keys)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.com/log\n",
        "example.com/log\n7\n",
        "example.com/log\n07\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "example.com/log\n-7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "example.com/log\n7\nAAAA\n",
        "example.com/log\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=\n",
        "\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
    ],
)
def test_signed_text_that_is_no_checkpoint_is_refused(text: str) -> None:
    own = signer("example.com/log")

    with pytest.raises(notes.NoteError):
        notes.opened(own.note(text), keys=[notes.VerifierKey.parse(own.verifier_key)])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PeterNeumann",
        "PeterNeumann+c74f20a3",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TX",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ],
)
def test_damaged_key_is_refused(text: str) -> None:
    with pytest.raises(notes.NoteError):
        notes.VerifierKey.parse(text)


def test_a_file_holds_one_note_after_the_other() -> None:
    own = signer()
    written = [own.checkpoint(size=size, root=bytes([size]) * 32) for size in (1, 2, 3)]
    written[1] += FOREIGN

    assert notes.split("".join(written)) == written
