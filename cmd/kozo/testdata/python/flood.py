"""Sends a number of events at a rate, as soon as somebody counts them."""
import time

from kozo import Role


class Flood(Role):
    def run(self):
        self.getMessage()
        start = time.monotonic()
        for n in range(1, self['count'] + 1):
            ahead = start + n / self['rate'] - time.monotonic()
            if ahead > 0.002:
                self.sleep(ahead)
            self.sendEvent('flood', data=n)
        self.info('sent all in', round(time.monotonic() - start, 3))
        self.finish()


roleInfo = {'format': '1.0', 'class': Flood, 'filters': ['event:go'], 'config': {
    'count': {'default': 1000}, 'rate': {'default': 10000}}}
