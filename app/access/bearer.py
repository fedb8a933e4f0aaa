"""Tokens as HTTP carries them: `Authorization: Bearer …`."""

_SCHEME = "bearer "


def token(header: str | None) -> str | None:
    """Return the token of the header, which may be empty; None if the header holds none."""
    if header is None or not header.lower().startswith(_SCHEME):
        return None
    return header[len(_SCHEME) :].strip()
