"""Messages: what roles send each other."""
import calendar
import time

from .nodes import Sender, named


class Message:
    """A message that arrived. None of it can be changed."""

    __slots__ = ('_members',)

    def __init__(self, members):
        self._members = members

    def getType(self):
        """The type: what happened, or what is to be done. The level, of a log message."""
        return self._members['type']

    def getChannel(self):
        """The sub-address, or None."""
        return self._members.get('channel')

    def getData(self):
        """The content, or None."""
        return self._members.get('data')

    def getSender(self):
        """The Node that sent it, as its connection has proven it."""
        return named(self._members['node'])

    def getSenderRole(self):
        """The role that sent it; it has getName and getNode."""
        return Sender(self._members['role'], self.getSender())

    def getTimestamp(self):
        """When it was sent, by the sender's clock, in seconds since 1970."""
        return _seconds(self._members['time'])

    def getSequence(self):
        """Its number among the messages of its sender since the sender's node started."""
        return self._members['seq']

    def __str__(self):
        where = ' on %s' % self.getChannel() if self.getChannel() else ''
        return '%s %s%s from %s' % (type(self).__name__, self.getType(), where, self.getSenderRole())


class Event(Message):
    """Something happened."""

    __slots__ = ()

    def getEventType(self):
        """What happened."""
        return self.getType()

    def getEventData(self):
        """The content, or None."""
        return self.getData()


class Order(Message):
    """Somebody should do something."""

    __slots__ = ()

    def getOrderType(self):
        """What is to be done."""
        return self.getType()

    def getOrderData(self):
        """The content, or None."""
        return self.getData()


class Log(Message):
    """A line for people."""

    __slots__ = ()

    def getLevel(self):
        """info, warn or error, usually."""
        return self.getType()

    def getMessage(self):
        """The text."""
        data = self.getData()
        return data if isinstance(data, str) else '' if data is None else str(data)


KINDS = {'event': Event, 'order': Order, 'log': Log}


def _seconds(text):
    """Reads a time such as 2026-11-23T14:00:00.123456789Z or …+01:00."""
    day, clock = text[:10], text[11:]
    offset = 0
    if clock.endswith('Z'):
        clock = clock[:-1]
    elif clock[-6:-5] in ('+', '-'):
        offset = (int(clock[-5:-3]) * 60 + int(clock[-2:])) * 60
        if clock[-6] == '-':
            offset = -offset
        clock = clock[:-6]
    whole, _, fraction = clock.partition('.')
    parsed = time.strptime(day + ' ' + whole, '%Y-%m-%d %H:%M:%S')
    return calendar.timegm(parsed) - offset + (float('0.' + fraction) if fraction else 0.0)
