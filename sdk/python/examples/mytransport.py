import socket

from kozo import AuthenticatedTransport


class MyTransport(AuthenticatedTransport):
    def bind(self):
        AuthenticatedTransport.bind(self)
        self._server = socket.create_server(('', self['port']))

    def acceptUnauthenticatedConnection(self):
        connection, _ = self._server.accept()
        return connection

    def getUnauthenticatedConnectAddresses(self, otherTransport):
        addresses = otherTransport['address']
        if isinstance(addresses, str):
            addresses = addresses.split(',')
        return [(address.strip(), otherTransport['port']) for address in addresses]

    def getUnauthenticatedSocket(self, otherTransport, addressIndex, address):
        return socket.create_connection(address, timeout=10)


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
