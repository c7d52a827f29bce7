#!/usr/bin/env python3
"""pytcp: a transport over TCP, with nothing but the standard library.

docs/protocol-programs.md specifies what is spoken. Drop this file into a
directory of transportPath, and say "type: pytcp" in a transport block.
"""
import collections
import json
import socket
import sys
import threading
import time

DESCRIPTION = {
    'protocol': 1,
    'kind': 'transport',
    'name': 'pytcp',
    'version': '1.0',
    'author': 'The Kōzō authors',
    'description': 'TCP, as a program in Python.',
    'options': {
        'address': {'type': 'list', 'default': [], 'description': 'Where others reach this node: HOST or HOST:PORT, best first.'},
        'port': {'type': 'port', 'default': 9002, 'description': 'TCP port to accept connections on.'},
        'bindAddress': {'default': '', 'description': 'Address to accept connections on; all if it is not given.'},
    },
}

writing = threading.Lock()


def say(**line):
    with writing:
        sys.stdout.write(json.dumps(line) + '\n')
        sys.stdout.flush()


def about(block):
    """What others need to know about a transport block of any node."""
    options = block['options']
    if not options['address']:
        return {'endpoints': []}
    return {
        'endpoints': [a if ':' in a else '%s:%d' % (a, options['port']) for a in options['address']],
        'priority': 'good',
        'binds': ['tcp %s:%d' % (options['bindAddress'], options['port'])],
    }


def move(source, sink):
    """Moves bytes in one direction, up to its end."""
    try:
        while True:
            data = source.recv(1 << 16)
            if not data:
                sink.shutdown(socket.SHUT_WR)
                return
            sink.sendall(data)
    except OSError:  # one side has failed: nothing more can be done for the other one
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def hand_over(conn, request, address):
    """Gives a connection to the node."""
    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    node = socket.socket(socket.AF_UNIX)
    try:
        node.connect(request['socket'])
        node.sendall(json.dumps({'token': request['token'], 'address': address}).encode() + b'\n')
    except OSError:
        node.close()
        conn.close()
        raise

    def carry():
        back = threading.Thread(target=move, args=(node, conn), daemon=True)
        back.start()
        move(conn, node)
        back.join()
        node.close()
        conn.close()

    threading.Thread(target=carry, daemon=True).start()


class Transport:
    def __init__(self, options):
        self.options = options
        self.changed = threading.Condition()
        self.wanted = collections.deque()  # requests for connections that others make
        self.cancelled = set()

    def listen(self, request):
        server = socket.create_server((self.options['bindAddress'], self.options['port']), backlog=256)
        threading.Thread(target=self.serve, args=(server,), daemon=True).start()
        host, port = server.getsockname()[:2]
        say(op='done', id=request['id'], address='%s:%d' % (host, port))

    def serve(self, server):
        while True:
            try:
                conn, address = server.accept()
            except ConnectionError:
                continue  # it was gone before it was accepted
            except OSError as e:  # no file descriptors, for instance, which passes
                say(op='note', level='warn', text='accept: %s' % e)
                time.sleep(0.2)
                continue
            with self.changed:
                while not self.wanted:
                    self.changed.wait()
                request = self.wanted.popleft()
            try:
                hand_over(conn, request, '%s:%d' % address[:2])
                say(op='done', id=request['id'])
            except OSError as e:
                say(op='error', id=request['id'], text=str(e))

    def accept(self, request):
        with self.changed:
            self.wanted.append(request)
            self.changed.notify()

    def cancel(self, request):
        with self.changed:
            waiting = [r for r in self.wanted if r['id'] == request['id']]
            for r in waiting:
                self.wanted.remove(r)
            if not waiting:
                self.cancelled.add(request['id'])
        if waiting:
            say(op='error', id=request['id'], text='cancelled')

    def connect(self, request):
        host, _, port = request['endpoint'].rpartition(':')
        conn = socket.create_connection((host, int(port)), timeout=request.get('timeout') or None)
        conn.settimeout(None)
        with self.changed:
            gone = request['id'] in self.cancelled
        if gone:
            conn.close()
            raise OSError('cancelled')
        hand_over(conn, request, '%s:%s' % (host, port))
        say(op='done', id=request['id'])

    def do(self, request):
        """Does what the node asks for."""
        try:
            getattr(self, request['op'])(request)
        except (OSError, ValueError) as e:
            say(op='error', id=request['id'], text=str(e))
        finally:
            if request['op'] == 'connect':
                with self.changed:
                    self.cancelled.discard(request['id'])


def main():
    if sys.argv[1:] == ['--describe']:
        print(json.dumps(DESCRIPTION))
        return
    transport = None
    for text in sys.stdin:
        line = json.loads(text)
        op = line['op']
        if op == 'hello':
            if line['mode'] == 'run':
                transport = Transport(line['options'])
            say(op='hello', protocol=1, heartbeat=10, accepts=16)
        elif op == 'about':
            say(op='about', id=line['id'], **about(line['block']))
        elif op == 'ping':
            say(op='pong', n=line['n'])
        elif op == 'accept':
            transport.accept(line)
        elif op == 'cancel':
            transport.cancel(line)
        elif op in ('listen', 'connect'):
            threading.Thread(target=transport.do, args=(line,), daemon=True).start()
        # What is unknown is for later versions of the protocol.


main()
