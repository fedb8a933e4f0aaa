"""Encodings of a stream, whichever the client takes: zstd before gzip."""

import zlib
from typing import Protocol

import zstandard

_GZIP_WINDOW = 31  # a gzip header, and the largest window
_LEVEL = 3
_LEVEL_GZIP = 1  # both at the speed of the network, not of an archive


class Encoder(Protocol):
    """Encodes a stream piece by piece."""

    def encode(self, data: bytes) -> bytes:
        """Return all that is needed to read the data."""
        ...

    def end(self) -> bytes:
        """Return what ends the stream."""
        ...


class _Zstd:
    def __init__(self) -> None:
        self._stream = zstandard.ZstdCompressor(level=_LEVEL).compressobj()

    def encode(self, data: bytes) -> bytes:
        return self._stream.compress(data) + self._stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)

    def end(self) -> bytes:
        return self._stream.flush(zstandard.COMPRESSOBJ_FLUSH_FINISH)


class _Gzip:
    def __init__(self) -> None:
        self._stream = zlib.compressobj(level=_LEVEL_GZIP, wbits=_GZIP_WINDOW)

    def encode(self, data: bytes) -> bytes:
        return self._stream.compress(data) + self._stream.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._stream.flush(zlib.Z_FINISH)


def chosen(accept_encoding: str) -> tuple[str | None, Encoder | None]:
    """Return the best encoding that the client takes, and its name; none if it takes neither."""
    accepted = {
        name.strip().lower()
        for name, _, weight in (each.partition(";") for each in accept_encoding.split(","))
        if weight.replace(" ", "").lower() not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    }
    if "zstd" in accepted:
        return "zstd", _Zstd()
    if "gzip" in accepted:
        return "gzip", _Gzip()
    return None, None
