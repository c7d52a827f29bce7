"""Sends the temperature of the processor every so often."""
from kozo import Role


class Thermometer(Role):
    def getRateControl(self):
        return self['period']

    def run(self):
        with open(self['file']) as f:
            degrees = int(f.read()) / 1000
        self.sendEvent('temperature', data=degrees)
        if degrees > self['limit']:
            self.sendLog('It is', degrees, 'degrees hot', level='warn')


roleInfo = {
    'format': '1.0',
    'class': Thermometer,
    'author': 'Jane Doe',
    'version': '1.0',
    'description': 'Sends the temperature of the processor.',
    'publishes': ['event:temperature'],
    'config': {
        'period': {'default': 10, 'description': 'Seconds between two events.', 'min': 0.1},
        'limit': {'default': 80, 'description': 'Degrees from which on it warns.'},
        'file': {'default': '/sys/class/thermal/thermal_zone0/temp', 'description': 'Where the kernel says it.'}
    }
}
