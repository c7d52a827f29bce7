"""The line to the node: lines of JSON over what were the standard input and output."""
import collections
import itertools
import os
import sys
import threading
import time

from .errors import KozoError, Stop
from .values import line, read

MESSAGES = (b'{"op":"event"', b'{"op":"order"', b'{"op":"log"')
WINDOW = 256  # messages that may be under way to a role
LULL = 0.01  # seconds without a message after which the taken ones are acknowledged


class Host:
    """Reads what the node writes, in a thread of its own, and writes to it.

    Messages are kept as they came, at most WINDOW of them, until somebody takes
    them. All methods may be called from several threads.
    """

    def __init__(self, incoming, outgoing):
        self._incoming = incoming
        self._outgoing = outgoing
        self._writing = threading.Lock()
        self._waiting = {}  # answers by the id of the request; None until it is there
        self._ids = itertools.count(1)
        self._inbox = collections.deque()
        self._changed = threading.Condition()
        self._taken = 0
        self._acked = 0
        self._reader = None
        self.stopping = threading.Event()
        self.requests = None  # called with what is not for the host itself
        self.hello = None

    def start(self):
        """Waits for the hello of the node, and returns it. Nothing else is read before listen."""
        self._reader = self._lines()
        first = next(self._reader, None)
        if first is None:
            raise KozoError('the node has said nothing; a role or a transport is run by a node, not by hand')
        self.hello = read(first)
        if self.hello.get('op') != 'hello' or self.hello.get('protocol') != 1:
            raise KozoError('the node does not speak version 1 of the protocol')
        return self.hello

    def listen(self, requests=None):
        """Begins to read. requests is called with each line that is no message and no answer."""
        self.requests = requests
        threading.Thread(target=self._read, name='kozo', daemon=True).start()

    def _lines(self):
        rest = b''
        while True:
            chunk = os.read(self._incoming, 1 << 16)
            if not chunk:
                return
            lines = (rest + chunk).split(b'\n')
            rest = lines.pop()
            yield from lines
            with self._changed:
                self._changed.notify_all()

    def _read(self):
        try:
            for text in self._reader:
                if text.startswith(MESSAGES):
                    self._inbox.append(text)
                else:
                    self._dispatch(read(text))
        except Exception as e:  # the node writes nothing that could cause it
            print('kozo: the line to the node is broken: %s' % e, file=sys.stderr)
        self._stop()

    def _stop(self):
        self.stopping.set()
        self.acknowledge()
        with self._changed:
            self._changed.notify_all()

    def _dispatch(self, m):
        op = m.get('op')
        if op == 'ping':
            self.write({'op': 'pong', 'n': m.get('n')})
        elif op == 'stop':
            self._stop()
        elif m.get('id') in self._waiting and op in ('done', 'error', 'value', 'counts'):
            with self._changed:
                self._waiting[m['id']] = m
                self._changed.notify_all()
        elif op == 'error' and 'id' not in m:
            print('kozo: the node says: %s' % m.get('text'), file=sys.stderr)
        elif self.requests is not None and self.requests(m):
            return
        elif 'id' in m and op not in ('done', 'error', 'value', 'counts'):
            self.write({'op': 'error', 'id': m['id'], 'text': 'the SDK does not know the op %r' % op})

    def write(self, members):
        """Writes a line. A KozoError says that it is too long, or not JSON."""
        out = line(members)
        with self._writing:
            self._put(out)

    def _put(self, out):
        while out:
            try:
                out = out[os.write(self._outgoing, out):]
            except OSError:  # the node is gone, and the end of the input follows
                return

    def request(self, members):
        """Writes a line and waits for its answer. A KozoError says what was wrong."""
        number = next(self._ids)
        with self._changed:
            self._waiting[number] = None
        try:
            self.write(dict(members, id=number))
            with self._changed:
                while self._waiting[number] is None:
                    if self.stopping.is_set():
                        raise Stop()
                    self._changed.wait()
                answer = self._waiting[number]
        finally:
            with self._changed:
                del self._waiting[number]
        if answer['op'] == 'error':
            raise KozoError(answer.get('text', 'the node could not do it'))
        return answer

    def note(self, level, text):
        """Writes a line to the log of the node."""
        self.write({'op': 'note', 'level': level, 'text': text})

    def acknowledge(self):
        """Tells the node how many messages were taken."""
        with self._writing:
            count = self._taken
            if count > self._acked:
                self._acked = count
                self._put(b'{"op":"ack","count":%d}\n' % count)

    def take(self, timeout=None):
        """Takes the oldest message as it came, or returns None when the time, in seconds, is over."""
        end = None if timeout is None else time.monotonic() + max(0, timeout)
        while True:
            with self._changed:
                if self.stopping.is_set():
                    raise Stop()
                if self._inbox:
                    text = self._inbox.popleft()
                    self._taken += 1
                    break
                left = None if end is None else end - time.monotonic()
                idle = self._taken == self._acked
                if left is None or left > 0:
                    arrived = self._changed.wait(left if idle else LULL if left is None else min(LULL, left))
                elif idle:
                    return None
                else:
                    arrived = False
            if not arrived:
                self.acknowledge()
        if self._taken - self._acked >= WINDOW // 2:
            self.acknowledge()
        return text

    def taken(self):
        """How many messages were taken."""
        return self._taken

    def rest(self, seconds):
        """Waits so long, or until there is a message."""
        with self._changed:
            if not self._inbox and not self.stopping.is_set():
                self._changed.wait(seconds)

    def sleep(self, seconds):
        """Waits so long. Raises Stop when the node stops the program."""
        self.acknowledge()
        if self.stopping.wait(max(0, seconds)):
            raise Stop()
