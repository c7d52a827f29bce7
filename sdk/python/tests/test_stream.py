"""Socket-like objects, and the way of their bytes."""
import hashlib
import os
import random
import socket
import threading
import time
import unittest

from fakenode import TIMEOUT, Case, receive
from kozo import Channel
from kozo import stream as module
from kozo.stream import ChannelSocket, Stream


class Only:
    """A socket-like object with nothing but what the documentation names, that checks how it is used.

    It reads and writes short pieces.
    """

    def __init__(self, sock, piece=7000, hangs=False):
        self._sock = sock
        self._piece = piece
        self._hangs = hangs
        self._busy = set()
        self._lock = threading.Lock()
        self.timeout = None
        self.closed = threading.Event()
        self.wrong = []

    def settimeout(self, timeout):
        self.timeout = timeout
        if not self._hangs:
            self._sock.settimeout(timeout)

    def send(self, data):
        return self._do('send', lambda: self._sock.send(data[:random.randint(1, self._piece)]))

    def recv(self, count):
        return self._do('recv', lambda: self._sock.recv(random.randint(1, min(count, self._piece))))

    def _do(self, what, work):
        with self._lock:
            if what in self._busy or self.closed.is_set() or self.timeout is None:
                self.wrong.append('%s while %s, closed=%s' % (what, self._busy, self.closed.is_set()))
            self._busy.add(what)
        try:
            return work()
        finally:
            with self._lock:
                self._busy.discard(what)

    def close(self):
        if self.closed.is_set() or self._busy and not self._hangs:
            self.wrong.append('closed twice or while %s' % self._busy)
        self.closed.set()
        self._sock.close()


class Swift(Case):
    """Tests in which a timeout is soon over."""

    def setUp(self):
        Case.setUp(self)
        self.set('TIMEOUT', 0.2)

    def set(self, name, value):
        """Changes a constant until the test is over."""
        self.addCleanup(setattr, module, name, getattr(module, name))
        setattr(module, name, value)


class Streams(Swift):
    def make(self, wrap=Only, **kwargs):
        """A stream with its far end, what it wraps, its end at the node, and its failures."""
        far, near = socket.socketpair()
        self.addCleanup(far.close)
        far.settimeout(TIMEOUT)
        conn = wrap(near, **kwargs)
        failures, over = [], threading.Event()
        stream = Stream(conn, failures.append, lambda s: over.set())
        s, path = self.listener()
        stream.start(path, 'secret', 'somewhere', 'clock')
        node, line = self.handed(s)
        self.assertEqual(line, {'token': 'secret', 'address': 'somewhere', 'peer': 'clock'})
        self.addCleanup(lambda: self.assertEqual(getattr(conn, 'wrong', []), []))
        return far, conn, node, failures, stream

    def test_every_byte_both_ways(self):
        far, conn, node, failures, stream = self.make()
        data = os.urandom(3 << 20)
        senders = [threading.Thread(target=end.sendall, args=(data,)) for end in (far, node)]
        got = {}
        readers = [threading.Thread(target=lambda e=end, n=name: got.update({n: hashlib.sha256(receive(e, len(data))).digest()}))
                   for name, end in (('far', far), ('node', node))]
        for t in senders + readers:
            t.start()
        for t in senders + readers:
            t.join(TIMEOUT)
        want = hashlib.sha256(data).digest()
        self.assertEqual(got, {'far': want, 'node': want})
        far.close()
        self.assertEqual(node.recv(1), b'')
        node.close()
        self.assertTrue(stream.done.wait(TIMEOUT))
        self.assertEqual(failures, [])

    def test_the_node_closes(self):
        far, conn, node, _, stream = self.make()
        node.sendall(b'last words')
        node.close()
        self.assertEqual(receive(far, 10), b'last words')
        self.assertEqual(far.recv(1), b'')
        self.assertTrue(conn.closed.wait(TIMEOUT) and stream.done.wait(TIMEOUT))

    def test_the_far_end_closes(self):
        far, conn, node, _, stream = self.make()
        far.sendall(b'last words')
        far.close()
        self.assertEqual(receive(node, 10), b'last words')
        self.assertEqual(node.recv(1), b'')
        node.close()
        self.assertTrue(stream.done.wait(TIMEOUT) and conn.closed.is_set())

    def test_a_real_socket_has_two_directions(self):
        far, conn, node, _, stream = self.make(wrap=lambda s: s)
        node.sendall(b'question')
        node.shutdown(socket.SHUT_WR)
        self.assertEqual(receive(far, 8), b'question')
        self.assertEqual(far.recv(1), b'')
        far.sendall(b'answer')
        far.close()
        self.assertEqual(receive(node, 6), b'answer')
        self.assertEqual(node.recv(1), b'')
        self.assertTrue(stream.done.wait(TIMEOUT))

    def test_a_silent_far_end_does_not_keep_a_closed_stream(self):
        far, conn, node, _, stream = self.make(wrap=lambda s: s)
        node.shutdown(socket.SHUT_WR)  # the stream sees the end first, and the rest of it later
        self.assertEqual(far.recv(1), b'')
        self.assertFalse(stream.done.wait(0.1))
        node.close()
        self.assertTrue(stream.done.wait(TIMEOUT))

    def test_a_slow_reader_holds_up_the_node_and_loses_nothing(self):
        far, conn, node, failures, stream = self.make(piece=100000)
        data = os.urandom(4 << 20)
        node.settimeout(0.5)
        sent = 0
        try:
            while sent < len(data):
                sent += node.send(data[sent:sent + 65536])
        except socket.timeout:
            pass
        self.assertLess(sent, len(data))  # nothing between here and the reader grows
        self.assertFalse(stream.done.wait(3 * module.TIMEOUT))  # send has timed out by now, and again
        node.settimeout(TIMEOUT)
        writer = threading.Thread(target=node.sendall, args=(data[sent:],))
        writer.start()
        self.assertTrue(receive(far, len(data)) == data)
        writer.join(TIMEOUT)
        self.assertEqual(failures, [])

    def test_the_errors_of_the_documentation(self):
        far, conn, node, failures, stream = self.make()
        conn._do = lambda what, work: (_ for _ in ()).throw(socket.error(104, 'Connection reset by peer'))
        far.sendall(b'x')
        self.assertEqual(node.recv(10), b'x')  # it was being received already
        self.assertEqual(node.recv(10), b'')
        node.close()
        self.assertTrue(stream.done.wait(TIMEOUT) and conn.closed.is_set())
        self.assertEqual(failures, [])

    def test_an_object_that_is_wrong(self):
        class None_(Only):
            def send(self, data):
                return None

        class Raises(Only):
            def recv(self, count):
                raise ValueError('mine')
        for wrap, words in ((None_, 'send of None_ returned None for 1 bytes'), (Raises, 'mine')):
            far, conn, node, failures, stream = self.make(wrap=wrap)
            try:
                node.sendall(b'x')
            except OSError:
                pass
            self.assertEqual(node.recv(1), b'')
            node.close()
            self.assertTrue(stream.done.wait(TIMEOUT))
            self.assertTrue(any(words in str(f) for f in failures), failures)

    def test_an_object_that_hangs_is_closed_in_the_end(self):
        self.set('GRACE', 0.3)
        far, conn, node, _, stream = self.make(hangs=True)
        node.close()
        self.assertTrue(conn.closed.wait(TIMEOUT))

    def test_a_node_that_is_gone(self):
        far, near = socket.socketpair()
        self.addCleanup(far.close)
        conn = Only(near)
        stream = Stream(conn, self.fail, lambda s: None)
        with self.assertRaises(OSError):
            stream.start(os.path.join(self.dir, 'nothing'), 'x')
        self.assertTrue(conn.closed.is_set())


class Pipe(Channel):
    """A channel over a socket, for tests: without encryption."""

    def __init__(self, fromNode, toNode, sock):
        Channel.__init__(self, fromNode, toNode)
        self._sock = sock
        self.closed = threading.Event()

    def send(self, bytes):
        try:
            return self._sock.send(bytes)
        except OSError:
            return None

    def receive(self, bytes, timeout):
        self._sock.settimeout(timeout)
        try:
            return self._sock.recv(bytes) or None
        except OSError:
            return None

    def close(self):
        self.closed.set()
        self._sock.close()


class Channels(Swift):
    def test_getters(self):
        channel = Pipe('clock', 'scribe', None)
        self.assertEqual((channel.getFromNode().getName(), channel.getToNode().getName(), channel.isAlive()),
                         ('clock', 'scribe', True))
        self.assertEqual(str(channel), 'Pipe<clock to scribe>')

    def test_timeouts_and_errors(self):
        far, near = socket.socketpair()
        far.settimeout(TIMEOUT)
        channel = Pipe('clock', 'scribe', near)
        stream = Stream(ChannelSocket(channel), self.fail, lambda s: None)
        s, path = self.listener()
        stream.start(path, 'x')
        node, _ = self.handed(s)
        time.sleep(5 * module.TIMEOUT)  # receive has returned None some times by now, and that was no error
        for a, b in ((far, node), (node, far)):
            a.sendall(b'hello')
            self.assertEqual(receive(b, 5), b'hello')
        self.assertTrue(channel.isAlive())
        far.close()  # now None comes at once
        self.assertEqual(node.recv(1), b'')
        node.close()
        self.assertTrue(channel.closed.wait(TIMEOUT))
        self.assertFalse(channel.isAlive())


if __name__ == '__main__':
    unittest.main()
