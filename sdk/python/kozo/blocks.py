"""What there is to know about the transport blocks of the configuration."""
import itertools
import json
import sys
import threading

from .errors import KozoError, OptionError, describe, trace
from .nodes import named
from .transport import AuthenticatedTransport, Foreign

PRIORITIES = ('worst', 'poor', 'fair', 'good', 'best')
MAX_ENDPOINTS = 64


class Blocks:
    """The objects for transport blocks, made when these are first mentioned."""

    def __init__(self, info):
        self._info = info
        self._lock = threading.Lock()
        self._made = {}

    def get(self, block):
        """The object for a block, as the node describes it. What init raises is raised each time."""
        key = json.dumps([block['node'], block['name'], block['type'], block.get('options')], sort_keys=True)
        with self._lock:
            if key not in self._made:
                self._made[key] = self._make(block)
            return self._made[key]

    def _make(self, block):
        own = block['type'] == self._info.typeName
        options = dict(block.get('options') or {})
        if own:
            options = self._info.values(options, block['node'], block['name'])
        transport = (self._info.cls if own else Foreign)(block['name'], options)
        transport._node, transport._type = named(block['node']), block['type']
        transport.init()
        return transport

    def about(self, block):
        """The answer to the question what a block is."""
        try:
            transport = self.get(block)
            priority = transport.getPriority()
            if priority not in range(len(PRIORITIES)):
                raise KozoError('getPriority returned %r, and not a number from Transport.Priority_WORST '
                                'to Transport.Priority_BEST' % (priority,))
            found = endpoints(transport)
        except OptionError as e:
            return {'errors': [{'option': e.option, 'text': e.text}]}
        except Exception as e:
            print(trace(e), file=sys.stderr)
            return {'errors': [{'text': describe(e)}]}
        return {'endpoints': found, 'accepts': bool(found), 'priority': PRIORITIES[priority]}

    def answer(self, m):
        """Answers a question, or returns None if the line is none."""
        if m.get('op') == 'about':
            return dict(self.about(m['block']), op='about')
        if m.get('op') == 'canConnect':
            local, remote = self.get(m['local']), self.get(m['remote'])
            return {'op': 'canConnect', 'can': bool(local.canConnect(remote))}
        return None


def endpoints(transport):
    """A string for each address of a transport, best first."""
    if not transport.canAccept():
        return []
    if isinstance(transport, AuthenticatedTransport):
        try:
            return [endpoint(a) for a in addresses(transport, transport)]
        except Exception:
            pass  # it may need what only localInit has made; then there is one for all
    return ['%s@%s' % (transport.getName(), transport.getNode())]


def addresses(transport, other):
    """The first addresses of those that a transport knows for another one."""
    found = transport.getUnauthenticatedConnectAddresses(other)
    return itertools.islice(iter(() if found is None else found), MAX_ENDPOINTS)


def endpoint(address):
    """An address for people."""
    text = str(address)
    if isinstance(address, (tuple, list)) and len(address) == 2:
        host, port = (str(part) for part in address)
        text = '[%s]:%s' % (host, port) if ':' in host else '%s:%s' % (host, port)
    text = text.encode('utf-8', 'replace')[:1000].decode('utf-8', 'ignore')
    return text if text.strip() else '(empty)'
