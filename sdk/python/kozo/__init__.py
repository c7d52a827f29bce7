"""Roles and transports for Kōzō in Python.

A file with a class and a dictionary, roleInfo or transportInfo, is a type of
role or transport. The documentation is docs/python.md of Kōzō.
"""
from .errors import KozoError, OptionError, Stop
from .messages import Event, Log, Message, Order
from .nodes import Node
from .options import NODE_NAME, ROLE_NAME, TRANSPORT_NAME
from .role import Role
from .transport import AuthenticatedTransport, Channel, Transport

__all__ = [
    'AuthenticatedTransport', 'Channel', 'Event', 'KozoError', 'Log', 'Message', 'NODE_NAME', 'Node',
    'OptionError', 'Order', 'ROLE_NAME', 'Role', 'Stop', 'TRANSPORT_NAME', 'Transport',
]
