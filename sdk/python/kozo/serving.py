"""A transport at work: makes the connections that the node asks for."""
import itertools
import sys
import threading
import time

from .accepts import PATIENCE, Accepts
from .blocks import Blocks, addresses, endpoint, endpoints
from .errors import KozoError, OptionError, Stop, describe, trace
from .stream import ChannelSocket, Stream
from .transport import AuthenticatedTransport, Channel

MAX_DIALS = 64  # attempts that have not come back
HEARTBEAT = 30  # seconds
LAST_BYTES = 0.4  # seconds for connections to end when the program stops


class Failures:
    """Logs an exception when it is new, and then more and more rarely."""

    def __init__(self, host):
        self._host = host
        self._lock = threading.Lock()
        self._last = None
        self._count = 0

    def log(self, doing, error):
        """Logs it, if it is worth a line; with a traceback, unless it is what happens in networks."""
        text = describe(error) if isinstance(error, (OSError, KozoError)) else trace(error)
        with self._lock:
            if text != self._last:
                self._last, self._count = text, 0
            self._count += 1
            count = self._count
        if count & (count - 1) == 0:
            times = ' (%d times)' % count if count > 1 else ''
            # The same traceback again is of no use to anybody.
            self._host.note('error', '%s failed%s: %s' % (doing, times, text if count == 1 else describe(error)))


class Server:
    """The transport of a block of the own node."""

    def __init__(self, host, info):
        self._host = host
        self._blocks = Blocks(info)
        self._own = None
        self._failures = Failures(host)
        self._accepts = Accepts(self._accept, self._deliver, lambda e: self._failures.log('accept', e))
        self._lock = threading.Lock()
        self._open = set()  # ids of requests that are not answered
        self._dials = 0
        self._streams = set()
        self._binding = threading.Lock()
        self._tried = False  # to bind
        self._bound = False
        self._prepared = threading.Event()

    def prepare(self):
        """Makes the transport. What its methods raise is raised."""
        hello = self._host.hello
        self._own = self._blocks.get({key: hello.get(key) for key in ('node', 'name', 'type', 'options')})
        self._own.localInit()
        if not endpoints(self._own):  # nobody will ask it to listen
            self._bind()
        self._prepared.set()

    def request(self, m):
        """Begins to do what the node asks for, and says whether it is known."""
        op, number = m.get('op'), m.get('id')
        if op == 'cancel':
            self._accepts.cancel(number)
            self._answer(number, {'op': 'error', 'text': 'it was cancelled'})
            return True
        if op not in ('about', 'canConnect', 'listen', 'accept', 'connect'):
            return False
        with self._lock:
            self._open.add(number)
        if op == 'accept':
            self._accepts.add(m)
        else:
            threading.Thread(target=self._do, args=(op, m), name=op, daemon=True).start()
        return True

    def _answer(self, number, members):
        with self._lock:
            if number not in self._open:
                return
            self._open.discard(number)
        self._host.write(dict(members, id=number))

    def _do(self, op, m):
        self._prepared.wait()
        try:
            if op == 'listen':
                answer = self._listen()
            elif op == 'connect':
                answer = self._connect(m)
            else:
                answer = self._blocks.answer(m)
        except Exception as e:
            if op != 'connect' or not isinstance(e, (OSError, KozoError)):  # the node logs these
                self._failures.log(op, e)
            answer = {'op': 'error', 'text': describe(e)}
        self._answer(m['id'], answer)

    def _bind(self, again=True):
        with self._binding:
            if not self._bound and (again or not self._tried):
                self._tried = True
                self._own.bind()
                self._bound = True

    def _listen(self):
        self._bind()
        return {'op': 'done'}

    def _accept(self):
        """Waits for a connection. Returns its stream, and the peer if the transport knows it."""
        self._prepared.wait()
        if isinstance(self._own, AuthenticatedTransport):
            conn = self._own.acceptUnauthenticatedConnection()
            if conn is None:
                raise KozoError('acceptUnauthenticatedConnection returned None, and not a connection')
            return self._stream(conn), None
        channel = self._own.accept()
        if not isinstance(channel, Channel):
            raise KozoError('accept returned %r, and not a Channel' % (channel,))
        return self._stream(ChannelSocket(channel)), channel.getFromNode().getName()

    def _deliver(self, m, accepted):
        stream, peer = accepted
        try:
            stream.start(m['socket'], m['token'], stream.address(), peer)
            answer = {'op': 'done'}
        except Exception as e:
            self._failures.log('accept', e)
            answer = {'op': 'error', 'text': describe(e)}
        self._answer(m['id'], answer)

    def _connect(self, m):
        remote = self._blocks.get(m['remote'])
        with self._lock:
            if self._dials >= MAX_DIALS:
                raise KozoError('%d attempts to connect have not come back yet' % self._dials)
            self._dials += 1
        try:
            try:
                self._bind(again=False)
            except Exception as e:  # connecting may work without it, and listening will try again
                self._failures.log('bind', e)
            stream, address, peer = self._dial(remote, m)
        finally:
            with self._lock:
                self._dials -= 1
        with self._lock:
            wanted = m['id'] in self._open
        if not wanted:
            stream.close()
            raise KozoError('it was cancelled')
        stream.start(m['socket'], m['token'], address, peer)
        return {'op': 'done'}

    def _dial(self, remote, m):
        if not isinstance(self._own, AuthenticatedTransport):
            channel = self._own.connect(remote)
            if channel is None:
                raise KozoError('connect returned None: it could not connect')
            if not isinstance(channel, Channel):
                raise KozoError('connect returned %r, and not a Channel' % (channel,))
            return self._stream(ChannelSocket(channel)), m.get('endpoint'), channel.getToNode().getName()
        # The last endpoint that the node knows stands for all further addresses.
        first = m.get('index', 0)
        last = first + 1 if first < len(endpoints(remote)) - 1 else None
        error = KozoError('getUnauthenticatedConnectAddresses knows no address number %d for it' % first)
        for index, address in itertools.islice(enumerate(addresses(self._own, remote)), first, last):
            try:
                conn = self._own.getUnauthenticatedSocket(remote, index, address)
            except OSError as e:
                error = e
                continue
            if conn is not None:
                return self._stream(conn), endpoint(address), None
            error = KozoError('getUnauthenticatedSocket returned None: it could not connect')
        raise error

    def _stream(self, conn):
        stream = Stream(conn, lambda e: self._failures.log('a connection', e), self._streams.discard)
        self._streams.add(stream)
        return stream

    def run(self):
        """Works until the node stops the program. Raises what makes it start anew."""
        while not self._host.stopping.wait(PATIENCE / 4):
            if self._accepts.failing() > PATIENCE and not self._streams:
                raise KozoError('nothing but failures to accept a connection for %d seconds' % PATIENCE)
        end = time.monotonic() + LAST_BYTES
        for stream in list(self._streams):
            stream.done.wait(max(0, end - time.monotonic()))


def serve(host, info):
    """Runs a transport until it is stopped or fails. Returns the exit code."""
    host.write({'op': 'hello', 'protocol': 1, 'heartbeat': HEARTBEAT})
    if host.hello.get('mode') == 'query':
        return _questions(host, info)
    server = Server(host, info)
    try:
        host.listen(server.request)  # pings are answered while it prepares
        server.prepare()
        server.run()
    except Stop:
        return 0
    except SystemExit as e:
        return e.code if isinstance(e.code, int) else int(bool(e.code))
    except BaseException as e:
        host.note('error', 'it failed: ' + (describe(e) if isinstance(e, (KozoError, OSError)) else trace(e)))
        print(describe(e), file=sys.stderr)
        return 1
    return 0


def _questions(host, info):
    blocks = Blocks(info)

    def answer(m):
        try:
            found = blocks.answer(m)
        except Exception as e:
            print(trace(e), file=sys.stderr)
            found = {'op': 'error', 'text': describe(e)}
        if found is None:
            return False
        host.write(dict(found, id=m['id']))
        return True

    host.listen(answer)
    host.stopping.wait()
    return 0
