"""Rings when a button is pressed, unless somebody has asked for quiet."""
import time

from kozo import Event, ROLE_NAME, Role


class Doorbell(Role):
    def init(self):
        self._quietUntil = 0

    def localInit(self):
        self._rings = self.getStorage(default=0)

    def run(self):
        message = self.getMessage()
        if isinstance(message, Event):
            self.ring(message)
        else:
            self._quietUntil = time.monotonic() + float(message.getOrderData() or 60)
            self.info('quiet, as', message.getSenderRole(), 'has asked')

    def ring(self, message):
        if time.monotonic() < self._quietUntil:
            self.sendLog('Somebody is at', message.getSender().getName(), level='warn')
            return
        self._rings += 1
        self.setStorage(self._rings)
        print(self['sound'])
        self.sendEvent('ring', data={'door': message.getSender().getName(), 'count': self._rings})


roleInfo = {
    'format': '1.0',
    'class': Doorbell,
    'author': 'Jane Doe',
    'version': '1.0',
    'description': 'Rings when a button is pressed.',
    'needsStorage': True,
    'filters': ['event:press', {'kind': 'order', 'type': 'quiet', 'channel': '$channel'}],
    'publishes': ['event:ring'],
    'config': {
        'sound': {
            'default': 'ding dong',
            'description': 'What it prints.'
        },
        'channel': {
            'default': ROLE_NAME,
            'description': 'On which channel it takes orders to be quiet.'
        }
    }
}
