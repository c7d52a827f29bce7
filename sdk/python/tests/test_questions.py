"""What a transport says about blocks of the configuration."""
import unittest

from fakenode import Case
from test_transport import MINE, QUIET


class Questions(Case):
    def test_the_last_example_of_the_configuration(self):
        p = self.transport(MINE, mode='query')
        got = p.ask('about', block=self.block({'port': 9002, 'address': 'hello'}))
        self.assertEqual(got, {'op': 'about', 'id': 1, 'endpoints': ['hello:9002'], 'accepts': True, 'priority': 'fair'})
        got = p.ask('canConnect', local=self.block({'address': 'a'}), remote=self.block({'address': 'b'}, node='other'))
        self.assertEqual(got, {'op': 'canConnect', 'id': 2, 'can': True})
        got = p.ask('canConnect', local=self.block({'address': 'a'}), remote=self.block({}, node='other', typ='tcp'))
        self.assertFalse(got['can'])
        got = p.ask('about', block=self.block({'address': '10.0.0.1, fe80::1, x'}))
        self.assertEqual(got['endpoints'], ['10.0.0.1:9001', '[fe80::1]:9001', 'x:9001'])
        self.assertEqual(p.stop(), 0)

    def test_everything_about_a_block(self):
        p = self.transport(QUIET % '''
    def init(self):
        AuthenticatedTransport.init(self)
        if not isinstance(self['address'], list):
            raise OptionError('address', 'it should be a list')
        if len(self['address']) == 1:
            raise ValueError('only one')
        assert self['me'] == self.getName()
    def getPriority(self): return Transport.Priority_BAD if 'a' in self['address'] else 7
    def canAccept(self): return self['address'] != []
    def canConnect(self, other):
        return (other.getType(), other.getNode().getName(), other['address'], 'me' in other) == ('tcp', 'far', 'x', False) \\
            or isinstance(other, T) and other['address'] == ['a', 'b', 'c'] and self.getNode() != other.getNode()
''', mode='query')
        for address, want in (
            (None, {'endpoints': ['a', 'b', 'c'], 'accepts': True, 'priority': 'poor'}),
            (['a', 'a'], {'endpoints': ['a', 'a'], 'accepts': True, 'priority': 'poor'}),
            (5, {'errors': [{'option': 'address', 'text': 'it should be a list'}]}),
            (['a'], {'errors': [{'text': 'ValueError: only one (mytransport.py, line 12)'}]}),
            (['b', 'c'], {'errors': [{'text': 'getPriority returned 7, and not a number from Transport.Priority_WORST '
                                              'to Transport.Priority_BEST'}]}),
        ):
            got = p.ask('about', block=self.block({'address': address, 'me': None}))
            self.assertEqual(got, dict(want, op='about', id=got['id']))
        empty = self.block({'address': [], 'me': 'x'}, name='x')
        self.assertEqual(p.ask('about', block=empty)['errors'][0]['text'][:7], 'getPrio')
        mine = self.block({'address': ['a', 'b'], 'me': None})
        for remote, can in (
            (self.block({'address': 'x'}, 'far', 't', 'tcp'), True), (self.block({'address': 'y'}, 'far', 't', 'tcp'), False),
            (self.block({'address': None, 'me': None}, 'far'), True), (self.block({'address': None, 'me': None}), False),
        ):
            self.assertEqual(p.ask('canConnect', local=mine, remote=remote)['can'], can)
        self.assertIn('error', p.ask('canConnect', local=mine, remote=self.block({'address': 5})).values())
        self.assertEqual(p.ask('dance')['op'], 'error')

    def test_addresses_that_only_the_own_transport_knows(self):
        p = self.transport(QUIET.replace("return other['address']", "return [(self.prefix + a) for a in other['address']]") % '''
    def localInit(self): self.prefix = 'x'
    def getUnauthenticatedSocket(self, other, index, address): raise OSError(address)
''')
        self.assertEqual(p.ask('about', block=self.block({}, 'far'))['endpoints'], ['wired@far'])
        p.ask('listen')
        p.send({'op': 'connect', 'id': 'c', 'endpoint': 'wired@far', 'index': 0, 'remote': self.block({}, 'far'),
                'timeout': 10, 'socket': 'x', 'token': 'x'})
        self.assertEqual(p.answer('c')['text'], 'OSError: xc')  # the last one of three

    def test_nobody_can_dial_what_does_not_accept(self):
        p = self.transport(QUIET % '    def canAccept(self): return False\n', mode='query')
        self.assertEqual(p.ask('about', block=self.block({})),
                         {'op': 'about', 'id': 1, 'endpoints': [], 'accepts': False, 'priority': 'fair'})


if __name__ == '__main__':
    unittest.main()
