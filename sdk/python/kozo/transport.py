"""Transports: the classes to extend."""
from .nodes import Node, named
from .options import Configured


class Transport(Configured):
    """Connects nodes, with encryption and authentication of its own.

    There is an object for each transport block of the configuration that
    matters, those of other nodes included. Extend AuthenticatedTransport instead
    to have both for free.
    """

    Priority_WORST, Priority_BAD, Priority_MEH, Priority_GOOD, Priority_BEST = range(5)

    def __init__(self, name, config):
        Configured.__init__(self, name, config)
        self._node = None
        self._type = None

    # What a transport must have.

    def accept(self):
        """Waits for a connection, authenticates it, and returns a Channel. May be called in parallel."""
        raise NotImplementedError('%s has no method accept' % type(self).__name__)

    def connect(self, otherTransport):
        """Connects to another node's transport, authenticates it, and returns a Channel, or None."""
        raise NotImplementedError('%s has no method connect' % type(self).__name__)

    # What a transport may override.

    def init(self):
        """Called once for every object, on every node. Prepares it; opens nothing."""

    def localInit(self):
        """Called once after init, on the node that the transport is of."""

    def bind(self):
        """Called once after localInit, on the node that the transport is of. Begins to listen."""

    def getPriority(self):
        """How much the transport should be preferred, from Priority_WORST to Priority_BEST."""
        return Transport.Priority_MEH

    def canAccept(self):
        """Whether others can connect to this transport."""
        return True

    def canConnect(self, otherTransport):
        """Whether this transport can connect to another node's."""
        return type(self) is type(otherTransport)

    # What a transport can call.

    def getNode(self):
        """The Node that offers this transport."""
        return self._node

    def isSelf(self):
        """Whether this program runs on that node."""
        return self._node.isSelf()

    def getType(self):
        """The type of the transport: the name of its file."""
        return self._type

    def __str__(self):
        return '%s<%s:%s>' % (type(self).__name__, self._node, self._name)


class AuthenticatedTransport(Transport):
    """Moves bytes between nodes. Kōzō encrypts them, and finds out who is there.

    A socket-like object has send, recv, settimeout and close, on the terms of
    socket.socket, and need not have anything else.
    """

    def acceptUnauthenticatedConnection(self):
        """Waits for a connection, and returns a socket-like object. May be called in parallel."""
        raise NotImplementedError('%s has no method acceptUnauthenticatedConnection' % type(self).__name__)

    def getUnauthenticatedConnectAddresses(self, otherTransport):
        """Returns the addresses at which another node's transport is found, best first."""
        raise NotImplementedError('%s has no method getUnauthenticatedConnectAddresses' % type(self).__name__)

    def getUnauthenticatedSocket(self, otherTransport, addressIndex, address):
        """Connects to one of these addresses, and returns a socket-like object, or None."""
        raise NotImplementedError('%s has no method getUnauthenticatedSocket' % type(self).__name__)


class Channel:
    """A connection that is encrypted and authenticated by itself. Extend it for a Transport."""

    def __init__(self, fromNode, toNode):
        """The two ends, as Node objects or by name. The one that is not the own node has been proven."""
        self._from = fromNode if isinstance(fromNode, Node) else named(fromNode)
        self._to = toNode if isinstance(toNode, Node) else named(toNode)
        self._alive = True

    # What a channel must have.

    def send(self, bytes):
        """Writes at least one byte and returns how many, or None on an error."""
        raise NotImplementedError('%s has no method send' % type(self).__name__)

    def receive(self, bytes, timeout):
        """Reads at least one and at most so many bytes. Returns None on an error, or after timeout seconds."""
        raise NotImplementedError('%s has no method receive' % type(self).__name__)

    # What a channel may override.

    def close(self):
        """Called once, when the channel is not used any more."""

    # What a channel can call.

    def getFromNode(self):
        """The Node that made the connection."""
        return self._from

    def getToNode(self):
        """The Node that accepted the connection."""
        return self._to

    def isAlive(self):
        """Whether the channel should still be used."""
        return self._alive

    def kill(self):
        """Says that the channel should not be used any more."""
        self._alive = False

    def __str__(self):
        return '%s<%s to %s>' % (type(self).__name__, self._from, self._to)


class Foreign(Transport):
    """A transport of another type, which this program cannot have an object of."""
