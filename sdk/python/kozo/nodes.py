"""The nodes of the system, as far as a program knows them."""


class Node:
    """A machine of the system."""

    def __init__(self, name, isSelf=False):
        self._name = name
        self._self = isSelf

    def getName(self):
        """The name of the node."""
        return self._name

    def isSelf(self):
        """Whether this program runs on the node."""
        return self._self

    def __eq__(self, other):
        return isinstance(other, Node) and other._name == self._name

    def __hash__(self):
        return hash(self._name)

    def __str__(self):
        return self._name

    def __repr__(self):
        return 'Node(%r)' % self._name


class Sender:
    """The role that sent a message."""

    def __init__(self, name, node):
        self._name = name
        self._node = node

    def getName(self):
        """The name of the role."""
        return self._name

    def getNode(self):
        """The node that the role runs on."""
        return self._node

    def __str__(self):
        return '%s@%s' % (self._name, self._node)


_self = None  # the name of the own node; a program has one


def setSelf(name):
    """Says which node this program runs on."""
    global _self
    _self = name


def named(name):
    """The node with a name."""
    return Node(name, name == _self)
