"""Moves the bytes of a connection between a socket-like object and the node."""
import json
import select
import socket
import threading
import time

from .blocks import endpoint
from .errors import KozoError

SIZE = 1 << 16  # bytes to move at a time
TIMEOUT = 2.0  # seconds after which an object looks whether it is still needed
GRACE = 5 * TIMEOUT  # for an object that does not keep to its timeout


class Stream:
    """A connection, and its way to the node.

    Only send, recv, settimeout and close of the object are used, and shutdown if
    it has one. close is called once, when nothing else will be.
    """

    def __init__(self, conn, failed, ended):
        """failed is called with an exception that is no OSError, ended with the stream when it is over."""
        self._conn = conn
        self._failed = failed
        self._over = ended
        self._node = None
        self._lock = threading.Lock()
        self._running = 2  # threads
        self._closed = False
        self._ended = threading.Event()  # one direction, and so the connection
        self.done = threading.Event()

    def start(self, path, token, address=None, peer=None):
        """Hands the connection over to the node. When it fails the connection is closed."""
        try:
            self._node = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._node.connect(path)
            members = {'token': token}
            if address is not None:
                members['address'] = str(address)[:500]
            if peer is not None:
                members['peer'] = peer
            self._node.sendall(json.dumps(members).encode('utf-8') + b'\n')
            self._conn.settimeout(TIMEOUT)
        except BaseException:
            self._finish()
            raise
        for move in (self._in, self._out):
            threading.Thread(target=self._run, args=(move,), name='stream', daemon=True).start()

    def address(self):
        """The far end, for people, if the object can say it."""
        try:
            found = self._conn.getpeername()
        except Exception:
            return None
        return endpoint(found[:2]) if isinstance(found, tuple) and len(found) > 1 else None

    def close(self):
        """Closes a connection that was not handed over."""
        self._finish()

    def _run(self, move):
        try:
            move()
        except OSError:  # an end is gone; the other direction sees it too
            self._ended.set()
        except Exception as e:
            self._ended.set()
            self._failed(e)
        finally:
            with self._lock:
                self._running -= 1
                last = self._running == 0
            if last or self._ended.is_set() and not self.done.wait(GRACE):
                self._finish()

    def _finish(self):
        with self._lock:
            if self._closed:
                return
            self._closed = True
        for end in (self._node, self._conn):
            try:
                if end is not None:
                    end.close()
            except Exception:
                pass  # it is of no use any more
        self.done.set()
        self._over(self)

    def _in(self):
        """From the far end to the node."""
        try:
            while not self._ended.is_set():
                try:
                    data = self._conn.recv(SIZE)
                except socket.timeout:
                    if self._gone():
                        break
                    continue
                if not data:
                    break
                self._node.sendall(data)
        except Exception:
            self._ended.set()
            self._hang(socket.SHUT_RDWR)
            raise
        self._hang(socket.SHUT_WR)

    def _gone(self):
        """Whether the node has closed the connection, and not only one direction."""
        poll = select.poll()
        poll.register(self._node, 0)
        return bool(poll.poll(0))

    def _hang(self, how):
        try:
            self._node.shutdown(how)
        except OSError:
            pass  # the node has

    def _out(self):
        """From the node to the far end."""
        while True:
            data = self._node.recv(SIZE)
            if not data:
                break
            while data:
                try:
                    count = self._conn.send(data)
                except socket.timeout:
                    if self._ended.is_set():
                        return
                    continue
                if not isinstance(count, int) or not 0 < count <= len(data):
                    raise KozoError('send of %s returned %r for %d bytes; it returns how many it has written' % (
                        type(self._conn).__name__, count, len(data)))
                data = data[count:]
        shutdown = getattr(self._conn, 'shutdown', None)
        if shutdown is None:
            self._ended.set()  # it can say that there is no more only by closing
            return
        shutdown(socket.SHUT_RDWR if self._gone() else socket.SHUT_WR)


class ChannelSocket:
    """A Channel as a socket-like object."""

    def __init__(self, channel):
        self._channel = channel
        self._timeout = None

    def settimeout(self, timeout):
        """As that of a socket."""
        self._timeout = timeout

    def send(self, data):
        """As that of a socket."""
        count = self._channel.send(data) if self._channel.isAlive() else None
        if count is None:
            self._fail()
        return count

    def recv(self, count):
        """As that of a socket. None is a timeout if it has taken its time, and an error if not."""
        start = time.monotonic()
        data = self._channel.receive(count, self._timeout) if self._channel.isAlive() else None
        if data:
            return data
        if data is None and self._channel.isAlive() and time.monotonic() - start > self._timeout / 2:
            raise socket.timeout()
        self._fail()

    def _fail(self):
        self._channel.kill()
        raise ConnectionResetError('the channel has failed')

    def close(self):
        """Called once."""
        self._channel.kill()
        self._channel.close()
