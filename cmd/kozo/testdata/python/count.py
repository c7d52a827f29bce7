"""Counts what flood sends, and says so at the last one."""
import time

from kozo import Role


class Count(Role):
    def localInit(self):
        self._count = self._last = 0
        self._start = None

    def run(self):
        message = self.getMessage(timeout=0.2 if self._start is None else None)
        if message is None:
            self.sendEvent('go')  # again, until it is heard
            return
        self._start = self._start or time.monotonic()
        number = message.getData()
        if number <= self._last:
            self.error('number', number, 'after', self._last)
        self._count, self._last = self._count + 1, number
        if number == self['last']:
            taken = time.monotonic() - self._start
            self.sleep(0.1)  # which acknowledges
            print('counted %d at %.0f/s' % (self._count, self._count / taken))


roleInfo = {'format': '1.0', 'class': Count, 'filters': ['event:flood'], 'config': {'last': {'default': 1000}}}
