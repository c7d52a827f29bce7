"""Transports, as processes."""
import os
import socket
import threading
import time
import unittest

from fakenode import TIMEOUT, Case, receive

HERE = os.path.dirname(os.path.abspath(__file__))
MINE = os.path.join(HERE, 'mytransport.py')
QUIET = '''
import socket, threading, time
from kozo import *
class T(AuthenticatedTransport):
    def getUnauthenticatedConnectAddresses(self, other): return other['address']
%s
transportInfo = {'format': '1.0', 'class': T, 'config': {
    'address': {'default': ['a', 'b', 'c']}, 'me': {'default': TRANSPORT_NAME}}}
'''


def free():
    """A port that nobody uses."""
    with socket.create_server(('127.0.0.1', 0)) as s:
        return s.getsockname()[1]


class Work(Case):
    def dialled(self, p, s, path, remote, endpoint, index=0, **members):
        """Has a program connect. Returns the connection."""
        p.ids += 1
        p.send(dict({'op': 'connect', 'id': p.ids, 'endpoint': endpoint, 'index': index, 'remote': remote, 'timeout': 10,
                     'socket': path, 'token': 'dial'}, **members))
        conn, line = self.handed(s)
        self.assertEqual(line['token'], 'dial')
        self.assertEqual(p.answer(p.ids)['op'], 'done')
        return conn, line

    def test_two_nodes(self):
        port = free()
        options = {'port': port, 'address': 'hello, 127.0.0.1'}
        a = self.transport(MINE, options)
        b = self.transport(MINE, {'port': free(), 'address': 'x'}, node='other')
        for p in (a, b):
            self.assertEqual(p.ask('listen'), {'op': 'done', 'id': p.ids})
        self.assertEqual(a.ask('listen')['op'], 'done')  # it listens already
        s, path = self.listener()
        for n in range(4):  # in parallel
            a.send({'op': 'accept', 'id': 'a%d' % n, 'socket': path, 'token': 't%d' % n})
        d, dpath = self.listener()
        remote = self.block(options)
        b.send({'op': 'connect', 'id': 'c', 'endpoint': 'hello:%d' % port, 'index': 0, 'remote': remote, 'timeout': 10,
                'socket': dpath, 'token': 'dial'})
        self.assertEqual(b.answer('c'), {'op': 'error', 'id': 'c', 'text': 'getUnauthenticatedSocket returned None: it could not connect'})
        ends = []
        for n in range(4):
            dialled, line = self.dialled(b, d, dpath, remote, '127.0.0.1:%d' % port, 1)
            self.assertEqual(line, {'token': 'dial', 'address': '127.0.0.1:%d' % port})
            accepted, line = self.handed(s)
            self.assertEqual(line['token'], 't%d' % n)
            self.assertEqual(a.answer('a%d' % n)['op'], 'done')
            ends.append((dialled, accepted))
        data = os.urandom(1 << 20)
        for dialled, accepted in ends:
            for x, y in ((dialled, accepted), (accepted, dialled)):
                t = threading.Thread(target=x.sendall, args=(data,))
                t.start()
                self.assertEqual(receive(y, len(data)), data)
                t.join()
        ends[0][0].close()
        self.assertEqual(ends[0][1].recv(1), b'')
        b.child.kill()  # a program that ends takes its streams with it
        for _, accepted in ends[1:]:
            self.assertEqual(accepted.recv(1), b'')
        self.assertEqual(a.stop(), 0)

    def test_bind_fails_and_works_later(self):
        port = free()
        with socket.create_server(('127.0.0.1', port)):
            p = self.transport(MINE, {'port': port, 'address': 'x'})
            got = p.ask('listen')
            self.assertEqual(got['op'], 'error')
            self.assertIn('in use', got['text'])
            p.expect('note', level='error')
        self.assertEqual(p.ask('listen')['op'], 'done')

    def test_methods_are_called_in_order(self):
        p = self.transport(QUIET % '''
    def init(self): self.calls = ['init']
    def localInit(self): self.calls.append('localInit')
    def bind(self): self.calls.append('bind')
    def getUnauthenticatedSocket(self, other, index, address):
        raise OSError(' '.join(self.calls + ['/'] + other.calls + [str(index), address, str(self.isSelf()), str(other.isSelf())]))
''')
        s, path = self.listener()
        p.send({'op': 'connect', 'id': 'c', 'endpoint': 'b', 'index': 1, 'remote': self.block({}, 'far'), 'timeout': 10,
                'socket': path, 'token': 'x'})
        self.assertEqual(p.answer('c')['text'], 'OSError: init localInit bind / init 1 b True False')
        self.assertEqual(p.ask('listen')['op'], 'done')  # it is bound already

    def test_connecting_goes_on_when_bind_fails(self):
        p = self.transport(QUIET % """
    tried = 0
    def bind(self):
        self.tried += 1
        if self.tried < 3: raise OSError('port in use')
    def getUnauthenticatedSocket(self, other, index, address): raise OSError(str(self.tried))
""")
        for _ in range(2):  # it is tried once
            self.assertEqual(p.ask('connect', endpoint='a', index=0, remote=self.block({}, 'far'), timeout=10, socket='x',
                                   token='x')['text'], 'OSError: 1')
        self.assertIn('port in use', p.expect('note')['text'])
        self.assertEqual([p.ask('listen')['op'] for _ in range(2)], ['error', 'done'])

    def test_without_endpoints_it_is_bound_at_once(self):
        p = self.transport(QUIET % '''
    def canAccept(self): return False
    def bind(self): self.bound = True
    def getUnauthenticatedSocket(self, other, index, address): raise OSError(str(self.bound))
''')
        p.send({'op': 'connect', 'id': 'c', 'endpoint': 'x', 'index': 0, 'remote': self.block({}, 'far'), 'timeout': 10,
                'socket': 'x', 'token': 'x'})
        self.assertEqual(p.answer('c')['text'], 'OSError: True')

    def test_the_last_endpoint_stands_for_the_rest(self):
        """The addresses depend on who asks, and their number may too."""
        p = self.transport(QUIET.replace("return other['address']", "return ['x'] if self is other else iter(['p', 'q', 'r'])") % '''
    def getUnauthenticatedSocket(self, other, index, address):
        with open(self['me'], 'a') as f: print(index, address, file=f)
        if address == 'q': return socket.socketpair()[0]
''', {'address': None, 'me': os.path.join(self.dir, 'tried')})
        p.ask('listen')
        s, path = self.listener()
        self.dialled(p, s, path, self.block({}, 'far'), 'x')
        with open(os.path.join(self.dir, 'tried')) as f:
            self.assertEqual(f.read(), '0 p\n1 q\n')

    def test_cancelled(self):
        p = self.transport(QUIET % '''
    gate = threading.Event()
    def acceptUnauthenticatedConnection(self):
        if self.gate.wait(): self.gate.clear()
        a, self.b = socket.socketpair()
        self.b.send(b'late')
        return a
    def getUnauthenticatedSocket(self, other, index, address):
        time.sleep(0.5)
        self.gate.set()
        return socket.socketpair()[0]
''')
        p.ask('listen')
        s, path = self.listener()
        remote = self.block({}, 'far')
        p.send({'op': 'accept', 'id': 1, 'socket': path, 'token': 'first'}, {'op': 'cancel', 'id': 1})
        self.assertEqual(p.answer(1)['op'], 'error')
        p.send({'op': 'accept', 'id': 2, 'socket': path, 'token': 'second'})
        p.send({'op': 'connect', 'id': 3, 'endpoint': 'x', 'index': 0, 'remote': remote, 'timeout': 10, 'socket': path,
                'token': 'dial'}, {'op': 'cancel', 'id': 3}, {'op': 'cancel', 'id': 99})
        self.assertEqual(p.answer(3), {'op': 'error', 'id': 3, 'text': 'it was cancelled'})
        conn, line = self.handed(s)
        self.assertEqual(line['token'], 'second')
        self.assertEqual(receive(conn, 4), b'late')
        self.assertEqual(p.answer(2)['op'], 'done')
        s.settimeout(0.3)
        with self.assertRaises(socket.timeout):
            s.accept()  # what the cancelled connect made was not handed over
        p.send({'op': 'ping', 'n': 1})
        p.expect('pong', n=1)
        self.assertEqual(p.kept, [])

    def test_failures_to_accept_do_not_spin(self):
        p = self.transport(QUIET % '''
    tried = 0
    def acceptUnauthenticatedConnection(self):
        T.tried += 1
        if T.tried < 5: raise ValueError('not yet')
        a, self.b = socket.socketpair()
        self.b.send(str(T.tried).encode())
        return a
''')
        p.ask('listen')
        s, path = self.listener()
        start = time.monotonic()
        p.send({'op': 'accept', 'id': 1, 'socket': path, 'token': 'x'})
        conn, _ = self.handed(s)
        self.assertEqual(receive(conn, 1), b'5')
        self.assertGreater(time.monotonic() - start, 0.1 + 0.2 + 0.4 + 0.8)
        notes = [p.expect('note')['text'] for _ in range(3)]
        self.assertIn("raise ValueError('not yet')", notes[0])
        for n, note in ((2, notes[1]), (4, notes[2])):  # the traceback is said once
            self.assertRegex(note, r'^accept failed \(%d times\): ValueError: not yet \(\w+\.py, line \d+\)$' % n)

    def test_it_fails_at_the_start(self):
        for method in ('init', 'localInit'):
            p = self.transport(QUIET % ('    def %s(self): raise ValueError("no")\n' % method))
            self.assertIn('ValueError: no', p.expect('note')['text'])
            self.assertEqual(p.end(), 1)

    def test_a_slow_start_answers_pings_and_keeps_requests(self):
        p = self.transport(QUIET % """
    def localInit(self):
        with open(self['me']): self.ready = True
    def bind(self): assert self.ready
""", {'address': None, 'me': self.fifo()})
        p.send({'op': 'ping', 'n': 1}, {'op': 'listen', 'id': 'l'})
        p.expect('pong', n=1)
        self.assertEqual(p.kept, [])
        with open(os.path.join(self.dir, 'fifo'), 'w'):
            self.assertEqual(p.answer('l')['op'], 'done')

    def fifo(self):
        """A file that cannot be opened until somebody writes to it."""
        path = os.path.join(self.dir, 'fifo')
        os.mkfifo(path)
        return path

    def test_threads_that_hang_do_not_hold_up_the_end(self):
        p = self.transport(QUIET % '''
    def acceptUnauthenticatedConnection(self): threading.Event().wait()
    def getUnauthenticatedSocket(self, *args): threading.Event().wait()
    def bind(self): threading.Thread(target=threading.Event().wait).start()
''')
        p.ask('listen')
        s, path = self.listener()
        p.send({'op': 'accept', 'id': 1, 'socket': path, 'token': 'x'},
               {'op': 'connect', 'id': 2, 'endpoint': 'x', 'index': 0, 'remote': self.block({}, 'far'), 'timeout': 10,
                'socket': path, 'token': 'x'})
        self.assertEqual(p.stop(), 0)

    def test_a_connection_without_a_request_waits_for_one(self):
        p = self.transport(QUIET % """
    calls = 0
    def bind(self): self._server = socket.create_server(('127.0.0.1', 0))
    def acceptUnauthenticatedConnection(self):
        T.calls += 1
        conn = self._server.accept()[0]
        print('got one', flush=True)
        return conn
    def getUnauthenticatedSocket(self, other, index, address):
        raise OSError('%d %d' % (self._server.getsockname()[1], T.calls))
""")
        p.ask('listen')
        s, path = self.listener()
        for n in range(1, 11):
            p.send({'op': 'accept', 'id': n, 'socket': path, 'token': 'x'}, {'op': 'cancel', 'id': n})
            self.assertEqual(p.answer(n)['op'], 'error')
        port, calls = p.ask('connect', endpoint='x', index=0, remote=self.block({}, 'far'), timeout=10, socket=path,
                            token='x')['text'].split()[1:]
        self.assertEqual(calls, '1')  # what is left of a cancelled request does for the next one
        far = socket.create_connection(('127.0.0.1', int(port)), TIMEOUT)
        self.addCleanup(far.close)
        end = time.monotonic() + TIMEOUT
        while 'got one' not in p.words and time.monotonic() < end:
            time.sleep(0.01)
        p.send({'op': 'accept', 'id': 'a', 'socket': path, 'token': 'late'})
        conn, line = self.handed(s)
        self.assertEqual(line['token'], 'late')
        far.sendall(b'x')
        self.assertEqual(receive(conn, 1), b'x')

    def test_the_last_bytes_still_arrive(self):
        out = os.path.join(self.dir, 'out')
        p = self.transport(QUIET % """
    def acceptUnauthenticatedConnection(self):
        if hasattr(self, 'once'): threading.Event().wait()
        self.once = True
        return Slow()
class Slow:
    def settimeout(self, timeout): self.timeout = timeout
    def recv(self, count):
        time.sleep(0.1)
        raise socket.timeout()
    def send(self, data):
        time.sleep(0.03)
        with open(%r, 'ab') as f: return f.write(data[:10])
    def close(self): pass
""".replace('%r', repr(out)))
        p.ask('listen')
        s, path = self.listener()
        p.send({'op': 'accept', 'id': 'a', 'socket': path, 'token': 't'})
        conn, _ = self.handed(s)
        conn.sendall(b'0123456789' * 5)
        conn.close()
        self.assertEqual(p.stop(), 0)
        with open(out, 'rb') as f:
            self.assertEqual(f.read(), b'0123456789' * 5)


SECURE = '''
import socket
from kozo import *
class MyChannel(Channel):
    def __init__(self, fromNode, toNode, sock):
        Channel.__init__(self, fromNode, toNode)
        self._sock = sock
    def send(self, bytes):
        try: return self._sock.send(bytes)
        except OSError: return None
    def receive(self, bytes, timeout):
        self._sock.settimeout(timeout)
        try: return self._sock.recv(bytes) or None
        except OSError: return None
class T(Transport):
    def bind(self):
        Transport.bind(self)
        self._server = socket.create_server(('127.0.0.1', self['port']))
    def accept(self):
        conn = self._server.accept()[0]
        return MyChannel(conn.recv(100).decode(), self.getNode(), conn)
    def connect(self, otherTransport):
        if otherTransport['port'] == 1: return None
        if otherTransport['port'] == 2: return 'a channel'
        conn = socket.create_connection(('127.0.0.1', otherTransport['port']))
        conn.send(self.getNode().getName().encode())
        return MyChannel(self.getNode(), otherTransport.getNode(), conn)
transportInfo = {'format': '1.0', 'class': T, 'config': {'port': {}}}
'''


class Secure(Case):
    def test_channels_say_who_is_there(self):
        port = free()
        a = self.transport(SECURE, {'port': port})
        b = self.transport(SECURE, {'port': free()}, node='other')
        self.assertEqual(a.ask('about', block=self.block({'port': 1}))['endpoints'], ['wired@mynode'])
        for p in (a, b):
            self.assertEqual(p.ask('listen')['op'], 'done')
        s, path = self.listener()
        d, dpath = self.listener()
        a.send({'op': 'accept', 'id': 'a', 'socket': path, 'token': 't'})
        connect = {'op': 'connect', 'endpoint': 'wired@mynode', 'index': 0, 'timeout': 10, 'socket': dpath, 'token': 'd'}
        b.send(dict(connect, id='c', remote=self.block({'port': port})))
        dialled, line = self.handed(d)
        self.assertEqual(line, {'token': 'd', 'address': 'wired@mynode', 'peer': 'mynode'})
        accepted, line = self.handed(s)
        self.assertEqual(line, {'token': 't', 'peer': 'other'})
        for x, y in ((dialled, accepted), (accepted, dialled)):
            x.sendall(b'hello')
            self.assertEqual(receive(y, 5), b'hello')
        for n, words in ((1, 'connect returned None'), (2, "connect returned 'a channel', and not a Channel")):
            b.send(dict(connect, id=n, remote=self.block({'port': n})))
            self.assertIn(words, b.answer(n)['text'])
        b.send({'op': 'stop'})
        self.assertEqual(b.end(), 0)
        self.assertEqual(accepted.recv(1), b'')


if __name__ == '__main__':
    unittest.main()
