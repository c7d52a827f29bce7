"""What a role prints."""
import io
import threading

MOST = 1 << 15  # characters of a line


class Printed(io.RawIOBase):
    """A file whose lines go to the standard output of the node."""

    def __init__(self, host):
        self._host = host
        self._lock = threading.Lock()
        self._rest = b''

    def writable(self):
        """As that of a file."""
        return True

    def write(self, data):
        """As that of a file."""
        with self._lock:
            lines = (self._rest + bytes(data)).split(b'\n')
            self._rest = lines.pop()
            if len(self._rest) > MOST:
                lines.append(self._rest)
                self._rest = b''
            for text in lines:
                self._print(text)
        return len(data)

    def close(self):
        """Prints what has no end of line."""
        if not self.closed and self._rest:
            self._print(self._rest)
            self._rest = b''
        io.RawIOBase.close(self)

    def _print(self, text):
        text = text.decode('utf-8', 'replace')
        for start in range(0, len(text) or 1, MOST):
            self._host.write({'op': 'print', 'text': text[start:start + MOST]})


def stdout(host):
    """The file to print to."""
    return io.TextIOWrapper(Printed(host), encoding='utf-8', errors='backslashreplace', line_buffering=True)
