"""Roles: the class to extend, and what runs it."""
import sys
import time

from .errors import KozoError, OptionError, Stop, describe, trace
from .host import WINDOW
from .messages import KINDS
from .nodes import named
from .options import Configured
from .printed import stdout
from .values import plain, read


class Role(Configured):
    """A task that a node runs. Extend it, and say so in roleInfo.

    Except for run, which has a thread of its own, everything may be called from
    several threads at once.
    """

    def __init__(self, name, config):
        Configured.__init__(self, name, config)
        self._node = None
        self._host = None

    # What a role may override.

    def init(self):
        """Called once, before anything else. Prepares the object; opens nothing."""

    def localInit(self):
        """Called once, after init. Opens what the role works with."""

    def run(self):
        """Does a piece of the work. It is called again and again."""
        raise NotImplementedError('%s has no method run' % type(self).__name__)

    def isInterestedIn(self, message):
        """Whether getMessage should return a message. The default is True for what roleInfo['filters'] matches."""
        return True

    def getRateControl(self):
        """Seconds from one run to the next, or None to run again at once."""
        return None

    # What a role can call.

    def getNode(self):
        """The Node that the role runs on."""
        return self._node

    def getMessage(self, timeout=None):
        """Waits for a message that the role is interested in, and returns it.

        Returns None when timeout, in seconds, is over; 0 does not wait, and None
        waits as long as it takes. Raises Stop when the node stops the role.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            text = self._host.take(None if end is None else end - time.monotonic())
            if text is None:
                return None
            members = read(text)
            message = KINDS[members['op']](members)
            if self.isInterestedIn(message):
                return message

    def sendEvent(self, eventType, channel=None, data=None):
        """Sends an event to all roles that are interested in it. It never waits for them."""
        self._send('event', eventType, channel, data)

    def sendOrder(self, orderType, channel=None, data=None):
        """Sends an order for the roles that listen on a channel, or for all that take the type."""
        self._send('order', orderType, channel, data)

    def sendLog(self, *message, level='info'):
        """Sends a log message to the loggers of the whole network. What it is made of is joined with spaces."""
        self._send('log', level, None, ' '.join(map(str, message)))

    def _send(self, kind, typ, channel, data):
        if not isinstance(typ, str) or not typ:
            raise KozoError('the type of a message is a string that is not empty, and not %r' % (typ,))
        members = {'op': kind, 'type': typ}
        if channel:
            if not isinstance(channel, str):
                raise KozoError('the channel of a message is a string, and not %r' % (channel,))
            members['channel'] = channel
        for key in ('type', 'channel'):
            if len(members.get(key, '').encode('utf-8', 'replace')) > 255:
                raise KozoError('the %s of a message has at most 255 bytes' % key)
        if data is not None:
            members['data'] = plain(data)
        self._host.write(members)

    def setInterest(self, filters):
        """Replaces what the role wants from now on, on all nodes: a list of filters."""
        self._host.request({'op': 'interest', 'filters': list(filters)})

    def getStorage(self, default=None):
        """Returns what setStorage has kept, also for an earlier run of the node, or the default."""
        answer = self._host.request({'op': 'get'})
        return answer.get('value') if answer.get('found') else default

    def setStorage(self, value):
        """Keeps one value in place of the old one. When it returns, the value is on the disk.

        While the role stops nothing can be waited for, and it returns at once.
        """
        members = {'op': 'set', 'value': plain(value)}
        if self._host.stopping.is_set():
            self._host.write(members)
        else:
            self._host.request(members)

    def getCounts(self):
        """The account of the role's inbox: a dictionary with offered, taken, queued, dropped by cause, and sent."""
        answer = self._host.request({'op': 'counts'})
        return {k: v for k, v in answer.items() if k not in ('op', 'id')}

    def sleep(self, seconds):
        """Waits. Raises Stop when the node stops the role."""
        self._host.sleep(seconds)

    def finish(self):
        """Ends the role for good: its work is done, and it is not run again until the node is."""
        self._host.write({'op': 'finish'})
        raise Stop()

    def info(self, *message):
        """Writes a line to the log of this node."""
        self._host.note('info', ' '.join(map(str, message)))

    def warn(self, *message):
        """Writes a warning to the log of this node."""
        self._host.note('warn', ' '.join(map(str, message)))

    def error(self, *message):
        """Writes an error to the log of this node."""
        self._host.note('error', ' '.join(map(str, message)))

    def __str__(self):
        return '%s@%s' % (self._name, self._node)


def filters(info):
    """What --describe says that a role wants."""
    if 'filters' in info.info:
        return list(info.info['filters'])
    if info.cls.isInterestedIn is not Role.isInterestedIn:
        return ['*']
    return []


def _filled(f, options):
    """Puts the values of options in the place of their names in a filter."""
    if isinstance(f, str):
        return f
    out = {}
    for key, value in f.items():
        if isinstance(value, str) and value.startswith('$'):
            if value[1:] not in options:
                raise KozoError('a filter of roleInfo names the option %r, and there is none' % value[1:])
            value = options[value[1:]]
        if value not in (None, ''):
            out[key] = str(value)
    return out


HEARTBEAT = 30  # seconds; a role that does not answer for twice as long is run anew
BREATH = 0.01  # seconds of rest after a run that did nothing
SWIFT = 0.001  # seconds in which nothing worth the name is done


def serve(host, info):
    """Runs a role until it is stopped or fails. Returns the exit code."""
    hello = host.hello
    options = info.values(hello['options'], hello['node'], hello['name'])
    host.write({'op': 'hello', 'protocol': 1, 'filters': [_filled(f, options) for f in filters(info)],
                'heartbeat': HEARTBEAT, 'window': WINDOW})
    sys.stdout = stdout(host)
    host.listen()
    doing = 'making it'
    try:
        role = info.cls(hello['name'], options)
        role._node, role._host = named(hello['node']), host
        for step in (role.init, role.localInit):
            doing = step.__name__
            step()
        doing = 'run'
        _repeat(role, host)
    except Stop:
        return 0
    except SystemExit as e:
        if e.code is None or isinstance(e.code, int):
            return e.code or 0
        return _failed(host, doing, str(e.code), str(e.code))
    except BaseException as e:
        return _failed(host, doing, describe(e), describe(e) if isinstance(e, OptionError) else trace(e))
    return 0


def _repeat(role, host):
    due = time.monotonic()
    while True:
        start, before = time.monotonic(), host.taken()
        role.run()
        now = time.monotonic()
        pause = role.getRateControl()
        if pause:
            due = max(due + pause, now)  # so that the work itself does not add up
            host.sleep(due - now)
        elif now - start < SWIFT and host.taken() == before:
            host.rest(BREATH)
        if host.stopping.is_set():
            raise Stop()


def _failed(host, doing, summary, text):
    host.note('error', '%s failed: %s' % (doing, text))
    print('%s: %s' % (doing, summary), file=sys.stderr)
    return 1
