"""Nodes that have certificates of an authority of their own, on which their names are."""
import select
import socket
import ssl
import threading
import time

from kozo import Channel, Transport


class TLSChannel(Channel):
    def __init__(self, fromNode, toNode, connection):
        Channel.__init__(self, fromNode, toNode)
        self._connection = connection
        self._connection.setblocking(False)
        self._lock = threading.Lock()  # send and receive come from two threads

    def send(self, bytes):
        return self._try(lambda: self._connection.send(bytes), 60)

    def receive(self, bytes, timeout):
        return self._try(lambda: self._connection.recv(bytes), timeout) or None

    def _try(self, work, timeout):
        end = time.monotonic() + timeout
        while True:
            try:
                with self._lock:
                    return work()
            except ssl.SSLWantReadError:
                wanted = select.POLLIN
            except ssl.SSLWantWriteError:
                wanted = select.POLLOUT
            except OSError:
                return None
            poll = select.poll()
            poll.register(self._connection, wanted)
            if not poll.poll(max(0, end - time.monotonic()) * 1000):
                return None

    def close(self):
        self._connection.close()


class TLSTransport(Transport):
    def localInit(self):
        Transport.localInit(self)
        self._server = self._context(ssl.PROTOCOL_TLS_SERVER)
        self._client = self._context(ssl.PROTOCOL_TLS_CLIENT)

    def _context(self, protocol):
        context = ssl.SSLContext(protocol)
        context.check_hostname = False  # the name on it is that of the node; it is compared below
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(self['authority'])
        context.load_cert_chain(self['certificate'], self['key'])
        return context

    def bind(self):
        Transport.bind(self)
        self._listener = socket.create_server(('', self['port']))

    def accept(self):
        plain, _ = self._listener.accept()
        plain.settimeout(10)
        connection = self._server.wrap_socket(plain, server_side=True)
        return TLSChannel(self._peer(connection), self.getNode(), connection)

    def connect(self, otherTransport):
        plain = socket.create_connection((otherTransport['address'], otherTransport['port']), timeout=10)
        connection = self._client.wrap_socket(plain)
        if self._peer(connection) != otherTransport.getNode().getName():
            return None
        return TLSChannel(self.getNode(), otherTransport.getNode(), connection)

    def _peer(self, connection):
        subject = dict(pair for part in connection.getpeercert()['subject'] for pair in part)
        return subject['commonName']


transportInfo = {
    'format': '1.0',
    'class': TLSTransport,
    'author': 'Jane Doe',
    'version': '1.0',
    'description': 'TLS with certificates for both sides.',
    'config': {
        'port': {'type': 'port', 'default': 9443, 'description': 'TCP port to bind to.'},
        'address': {'description': 'Where the node can be reached.'},
        'certificate': {'type': 'path', 'description': 'Certificate of the node, with its name.'},
        'key': {'type': 'path', 'description': 'Private key of the certificate.'},
        'authority': {'type': 'path', 'description': 'Certificate of the authority.'}
    }
}
