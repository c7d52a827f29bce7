"""A node for tests: runs a file and speaks the protocol with it over pipes."""
import json
import os
import queue
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import unittest

SDK = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TIMEOUT = 20
GONE = {'op': 'gone'}


class Program:
    """A role or a transport that runs."""

    def __init__(self, path, hello, env=None):
        self.child = subprocess.Popen([sys.executable, SDK, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, env=dict(os.environ, **(env or {})))
        self.lines = queue.Queue()
        self.kept = []
        self.words = []
        self.received = 0
        self.readers = [threading.Thread(target=f, daemon=True) for f in (self._read, self._listen)]
        for r in self.readers:
            r.start()
        self.ids = 0
        self.send(hello)

    def _read(self):
        for line in self.child.stdout:
            self.lines.put(json.loads(line))
        self.lines.put(GONE)

    def _listen(self):
        for line in self.child.stderr:
            self.words.append(line.decode('utf-8', 'replace').rstrip('\n'))

    def send(self, *members):
        """Writes lines as a node does: op first, no spaces."""
        out = b''.join(json.dumps(m, ensure_ascii=False, separators=(',', ':')).encode() + b'\n' for m in members)
        self.child.stdin.write(out)
        self.child.stdin.flush()

    def expect(self, op, **members):
        """Waits for a line with these members. Others that came meanwhile are kept for later."""
        def fits(m):
            return m.get('op') == op and all(m.get(k) == v for k, v in members.items())
        for i, m in enumerate(self.kept):
            if fits(m):
                return self.kept.pop(i)
        end = time.monotonic() + TIMEOUT
        while True:
            try:
                m = self.lines.get(timeout=max(0, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError('no %r %r came; kept: %r; stderr: %r' % (op, members, self.kept, self.words)) from None
            if fits(m):
                return m
            self.kept.append(m)
            if m is GONE:
                raise AssertionError('the program ended without %r %r; kept: %r; stderr: %r' % (
                    op, members, self.kept, self.words))

    def ask(self, op, **members):
        """Writes a request and returns its answer."""
        self.ids += 1
        self.send(dict(dict(op=op, id=self.ids), **members))
        return self.answer(self.ids)

    def answer(self, number):
        """Waits for the answer to a request."""
        for op in ('done', 'error', 'about', 'canConnect'):
            for m in list(self.kept):
                if m.get('op') == op and m.get('id') == number:
                    self.kept.remove(m)
                    return m
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            m = self.lines.get(timeout=TIMEOUT)
            if m.get('id') == number:
                return m
            self.kept.append(m)
            if m is GONE:
                break
        raise AssertionError('no answer to %r; kept: %r; stderr: %r' % (number, self.kept, self.words))

    def message(self, op='event', typ='tick', **members):
        """Sends a message to a role."""
        self.send(dict(dict(op=op, type=typ, node='clock', role='timer1',
                            time='2026-11-23T14:00:00.25Z', seq=1), **members))

    def stop(self):
        """Stops it, and returns the exit code."""
        if self.child.poll() is None:
            try:
                self.send({'op': 'stop'})
                self.child.stdin.close()
            except OSError:
                pass
        return self.end()

    def end(self):
        """Waits for its end, and returns the exit code."""
        try:
            code = self.child.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self.child.kill()
            raise AssertionError('it did not end; kept: %r' % self.kept) from None
        for r in self.readers:
            r.join(TIMEOUT)
        for f in (self.child.stdin, self.child.stdout, self.child.stderr):
            try:
                f.close()
            except OSError:
                pass
        return code


class Case(unittest.TestCase):
    """A test with a directory for files."""

    def setUp(self):
        self.dir = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def write(self, name, text):
        """Writes a file and returns its path."""
        path = os.path.join(self.dir, name)
        with open(path, 'w', encoding='utf-8') as f:
            f.write(textwrap.dedent(text))
        return path

    def describe(self, path):
        """Runs FILE --describe. Returns the exit code, the object or None, and the standard error."""
        done = subprocess.run([sys.executable, SDK, path, '--describe'], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=TIMEOUT)
        return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr.decode()

    def start(self, path, hello, **kwargs):
        """Starts a program, and ends it with the test."""
        p = Program(path, hello, **kwargs)
        self.addCleanup(self._end, p)
        return p

    @staticmethod
    def _end(p):
        if p.child.poll() is None:
            p.child.kill()
        p.end()

    def role(self, text, options=None, name='echo.py', hello=True, **kwargs):
        """Starts a role, and waits for its hello."""
        path = self.write(name, text)
        p = self.start(path, {'op': 'hello', 'protocol': 1, 'kind': 'role', 'mode': 'run', 'node': 'scribe',
                              'name': 'bell', 'type': name[:-3], 'options': options or {}, 'filters': [],
                              'storage': True, 'maxLine': 1 << 20, 'news': 1}, **kwargs)
        if hello:
            p.hello = p.expect('hello', protocol=1)
        return p

    def transport(self, text, options=None, name='mytransport.py', mode='run', node='mynode'):
        """Starts a transport, and waits for its hello."""
        path = text if os.path.exists(text) else self.write(name, text)
        members = {'op': 'hello', 'protocol': 1, 'kind': 'transport', 'mode': mode, 'type': os.path.basename(path)[:-3]}
        if mode == 'run':
            members.update(node=node, name='wired', options=options or {})
        p = self.start(path, dict(members, maxLine=1 << 20))
        p.expect('hello', protocol=1)
        return p

    def block(self, options, node='mynode', name='wired', typ='mytransport'):
        """A block, as the node describes it."""
        return {'node': node, 'name': name, 'type': typ, 'options': options}

    def listener(self):
        """A Unix socket of the node, to which connections are handed over."""
        path = os.path.join(self.dir, 's%d' % len(os.listdir(self.dir)))
        s = socket.socket(socket.AF_UNIX)
        s.bind(path)
        s.listen(16)
        s.settimeout(TIMEOUT)
        self.addCleanup(s.close)
        return s, path

    def handed(self, s):
        """Accepts a connection that is handed over. Returns it, and what its line says."""
        conn, _ = s.accept()
        conn.settimeout(TIMEOUT)
        self.addCleanup(conn.close)
        line = b''
        while not line.endswith(b'\n'):
            c = conn.recv(1)
            if not c:
                raise AssertionError('it closed after %r' % line)
            line += c
        return conn, json.loads(line)


def receive(conn, count):
    """Reads exactly so many bytes."""
    out = b''
    while len(out) < count:
        data = conn.recv(min(1 << 16, count - len(out)))
        if not data:
            raise AssertionError('the end came after %d of %d bytes' % (len(out), count))
        out += data
    return out
