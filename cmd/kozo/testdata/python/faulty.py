"""Fails whenever it is told to."""
from kozo import Role


class Faulty(Role):
    def localInit(self):
        print('faulty begins anew')

    def run(self):
        self.fail(self.getMessage().getData())

    def fail(self, why):
        raise ValueError('because of %s' % why)


roleInfo = {'format': '1.0', 'class': Faulty, 'filters': ['event:fail'], 'config': {}}
