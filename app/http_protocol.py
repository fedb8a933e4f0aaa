"""HTTP/1.1 as uvicorn speaks it with llhttp, with an end to what may come before a body."""

from uvicorn.protocols.http import httptools_impl

_LARGEST = 65_536  # bytes of a request line with its headers


class Protocol(httptools_impl.HttpToolsProtocol):
    """Refuses a request whose headers do not end."""

    _unread = 0

    def data_received(self, data: bytes) -> None:
        """Take what came in; llhttp itself would take headers of any size."""
        self._unread += len(data)
        super().data_received(data)
        if self._unread > _LARGEST:
            self._unread = 0
            self.send_400_response("The headers are too large.")

    def on_headers_complete(self) -> None:
        """Begin to count anew."""
        self._unread = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Begin to count anew; the application has a limit of its own for bodies."""
        self._unread = 0
        super().on_body(body)
