"""The first token: an operator's, made once in the life of a log, kept in a private file."""

import os
import secrets
from pathlib import Path

from app import bootstrap
from app.access import caller
from app.application import request, tokens

HOW_TO_MAKE_ANOTHER = "servicebook token create --name mine --subject admin --role OPERATOR"

_SUBJECT = "admin"
_KEY = "first token"


class TokenFileError(Exception):
    """The first token cannot be kept; the text says why and what helps."""


async def find_or_make(parts: bootstrap.Parts) -> str | None:
    """Return the token of the file, or make the first one of the log; None if it had one before.

    Raises TokenFileError, and then no token was made.
    """
    file = parts.settings.token_file
    if file.exists():
        known = file.read_text("ascii").strip()
        if await parts.sign_in.authenticate(known):
            return known
    if await parts.application.tokens.had_operator():
        return None
    return await _made(parts, file)


async def _made(parts: bootstrap.Parts, file: Path) -> str | None:
    """Make the token once there is a file to keep it: nobody could know it otherwise."""
    own = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    descriptor = _opened(own)
    try:
        with os.fdopen(descriptor, "w") as private:
            token = await _operators(parts)
            if token is None:
                return None
            private.write(f"{token}\n")
            private.flush()
            os.fsync(private.fileno())
        own.replace(file)
        return token
    finally:
        own.unlink(missing_ok=True)


def _opened(own: Path) -> int:
    try:
        own.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        return os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise TokenFileError(
            f"The first token cannot be kept in {own.parent}: {error.strerror}. Choose another"
            f" SERVICEBOOK_DATA_DIRECTORY, or make a token first: {HOW_TO_MAKE_ANOTHER}"
        ) from error


async def _operators(parts: bootstrap.Parts) -> str | None:
    """Make a token that may do everything; its subject joins the Beta, unless it left.

    Processes that start at once send the same command, which is carried out once; the token is
    told to one of them.
    """
    use_cases = parts.application
    if not await use_cases.people.is_known(subject=_SUBJECT):
        joining = request.Request(actor=_SUBJECT, name="join_beta")
        await use_cases.people.join_beta(request=joining, subject=_SUBJECT)
    _, token, _ = await use_cases.tokens.create(
        request=request.Request(
            actor=caller.COMMAND_LINE, name="create_token", idempotency_key=_KEY
        ),
        wanted=tokens.Wanted(
            subject=_SUBJECT, name="first token", roles=frozenset({caller.Role.OPERATOR})
        ),
    )
    return token
