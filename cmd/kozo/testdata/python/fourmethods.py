"""The transport of the tests: TCP, with a socket that can do nothing but what it must."""
import socket

from kozo import AuthenticatedTransport


class OnlyTheFour:
    def __init__(self, sock):
        self.send = sock.send
        self.settimeout = sock.settimeout
        self.close = sock.close
        self._sock = sock

    def recv(self, numBytes):
        data = self._sock.recv(numBytes)
        if not data:
            raise socket.error(104, 'Connection reset by peer')
        return data


class MyTransport(AuthenticatedTransport):
    def bind(self):
        AuthenticatedTransport.bind(self)
        self._server = socket.create_server(('127.0.0.1', self['port']))

    def acceptUnauthenticatedConnection(self):
        return OnlyTheFour(self._server.accept()[0])

    def getUnauthenticatedConnectAddresses(self, otherTransport):
        for name in otherTransport['address'].split(','):
            yield name.strip(), otherTransport['port']

    def getUnauthenticatedSocket(self, otherTransport, addressIndex, address):
        if address[0] == 'hello':
            return None
        return OnlyTheFour(socket.create_connection(address, 5))


transportInfo = {
    'format': '1.0',                                      # Should always be 1.0 for now
    'class': MyTransport,                                 # Direct reference to the subclass
    'author': 'John Smith',                               # Author name
    'version': '1.0',                                     # Version of this Transport
    'description': 'A simple TCP socket transport.',      # Description of this Transport
    'config': {                                           # Configuration options
        'port': {                                         # Name of the configuration option
            'default': 9001,                              # Default value of the configuration option
            'description': 'TCP port to bind to.'         # Description of the configuration option
        },
        'address': {                                      # Name of the configuration option
            'description': 'An address or a list of addresses that the node can be reached from.'
                                                          # ^ Description of this configuration option
            # Since this configuration option doesn't have a default value, it will be considered
            # to be a required option. The system will refuse to start if it is not provided.
        }
    }
}
