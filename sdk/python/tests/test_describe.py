"""roleInfo and transportInfo, and what is made of them."""
import os
import subprocess
import sys
import unittest

from fakenode import SDK, Case
from kozo import AuthenticatedTransport, KozoError, NODE_NAME, ROLE_NAME, Role, TRANSPORT_NAME, Transport
from kozo.options import Info

HEAD = '''
from kozo import *
class Mine(Role):
    def run(self): pass
'''
# As the documentation of the first Kōzō prints it.
EXAMPLE = '''
transportInfo = {
    'format': '1.0',                                      # Should always be 1.0 for now
    'class': MyTransport,                                 # Direct reference to the subclass
    'author': 'John Smith',                               # Author name
    'version': '1.0',                                     # Version of this Transport
    'description': 'A simple TCP socket transport.',      # Description of this Transport
    'config': {                                           # Configuration options
        'port': {                                         # Name of the configuration option
            'default': 9001,                              # Default value of the configuration option
            'description': 'TCP port to bind to.'         # Description of the configuration option
        },
        'address': {                                      # Name of the configuration option
            'description': 'An address or a list of addresses that the node can be reached from.'
                                                          # ^ Description of this configuration option
            # Since this configuration option doesn't have a default value, it will be considered
            # to be a required option. The system will refuse to start if it is not provided.
        }
    }
}
'''


class Describe(Case):
    def test_the_annotated_example(self):
        code, out, words = self.describe(self.write('mytransport.py', '''
            from kozo import AuthenticatedTransport
            class MyTransport(AuthenticatedTransport):
                pass
            ''' + '\n' + EXAMPLE.replace('\n', '\n            ')))
        self.assertEqual((code, words), (0, ''))
        self.assertEqual(out, {
            'protocol': 1, 'kind': 'transport', 'name': 'mytransport', 'version': '1.0', 'author': 'John Smith',
            'description': 'A simple TCP socket transport.', 'canConnect': False, 'secure': False,
            'options': {
                'port': {'type': 'number', 'default': 9001, 'description': 'TCP port to bind to.'},
                'address': {'description': 'An address or a list of addresses that the node can be reached from.'},
            }})
        self.assertEqual(list(out['options']), ['port', 'address'])

    def test_a_role(self):
        code, out, words = self.describe(self.write('door-bell.py', HEAD + '''
print('something', flush=True)
roleInfo = {'format': '1.0', 'class': Mine, 'filters': ['event:tick', {'type': '$what'}], 'publishes': ['event:ring'],
  'needsStorage': True, 'config': {
    'who': {'default': NODE_NAME, 'description': 'Who\\n  rings.'}, 'what': {'default': 'x', 'oneOf': ['x', 'y']},
    'n': {'default': 0.5, 'min': 0}, 'on': {'default': True}, 'none': {'default': None}, 'many': {'default': ['a']},
    'numbers': {'default': (1, 2)}, 'wait': {'type': 'duration', 'default': 3}, 'map': {'default': {'a': 1}},
    'role': {'default': ROLE_NAME}}}
'''))
        self.assertEqual(code, 0, words)
        self.assertIn('something', words)
        self.assertEqual((out['kind'], out['name'], out['filters'], out['publishes'], out['needsStorage']),
                         ('role', 'door-bell', ['event:tick', {'type': '$what'}], ['event:ring'], True))
        self.assertEqual(out['options'], {
            'who': {'default': None, 'description': 'Who rings. Default: the node name.'},
            'what': {'default': 'x', 'oneOf': ['x', 'y'], 'description': ''},
            'n': {'type': 'number', 'default': 0.5, 'min': 0, 'description': ''},
            'on': {'default': True, 'description': ''}, 'none': {'default': None, 'description': ''},
            'many': {'type': 'list', 'default': ['a'], 'description': ''},
            'numbers': {'type': 'any', 'default': [1, 2], 'description': ''},
            'wait': {'type': 'duration', 'default': 3, 'description': ''},
            'map': {'default': {'a': 1}, 'description': ''},
            'role': {'default': None, 'description': 'Default: the role name.'}})

    def test_interest(self):
        for body, want in (
            ('', []), ('    def isInterestedIn(self, message): return True\n', ['*']),
        ):
            _, out, _ = self.describe(self.write('r.py', HEAD + body + "roleInfo = {'format': '1.0', 'class': Mine}\n"))
            self.assertEqual(out['filters'], want)

    def test_a_transport_that_is_secure_and_asks(self):
        _, out, _ = self.describe(self.write('t.py', '''
            from kozo import Transport
            class T(Transport):
                def canConnect(self, other): return False
            transportInfo = {'format': '1.0', 'class': T, 'config': {}}
            '''))
        self.assertEqual((out['secure'], out['canConnect']), (True, True))

    def test_what_is_wrong_is_said(self):
        for name, text, words in (
            ('a.py', 'x = 1', 'has no roleInfo and no transportInfo'),
            ('a.py', 'roleInfo = transportInfo = {}', 'a file is one type'),
            ('a.py', 'roleInfo = 3', 'roleInfo should be a dictionary, and is int'),
            ('a.py', 'x = 1\ndef f(:', ' (a.py, line 2)\n'),
            ('a.py', 'x = 1\nint("y")', "literal for int() with base 10: 'y' (a.py, line 2)\n"),
            ('a.py', 'import nosuchmodule', "No module named 'nosuchmodule' (a.py, line 1); directories of modules belong into importPath\n"),
            ('missing.py', None, 'No such file'),
        ):
            path = self.write(name, text) if text else os.path.join(self.dir, name)
            code, out, got = self.describe(path)
            self.assertEqual((code, out), (1, None))
            self.assertIn(words, got)
            self.assertNotIn('main.py', got)  # only what is the author's
            self.assertNotIn('importlib', got.replace('import nosuchmodule', ''))

    def test_by_hand(self):
        path = self.write('a.py', HEAD + "roleInfo = {'format': '1.0', 'class': Mine}\n")
        done = subprocess.run([sys.executable, SDK, path], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=20)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b'run by a node, not by hand', done.stderr)
        done = subprocess.run([sys.executable, SDK], stderr=subprocess.PIPE, timeout=20)
        self.assertIn(b'usage:', done.stderr)


class Mine(Role):
    """A role."""

    def run(self):
        pass


class Idle(Role):
    """A role that does nothing."""


class Infos(unittest.TestCase):
    def make(self, kind='role', **info):
        bases = {'role': (Role,), 'transport': (AuthenticatedTransport, Transport)}[kind]
        return Info(kind, dict({'format': '1.0', 'class': Mine}, **info), bases, 'mine')

    def test_mistakes(self):
        for info, words in (
            ({'format': 1.0}, r"\['format'\] should be '1.0', and is 1.0"),
            ({'class': 'Mine'}, r"should be a class that extends kozo.Role, and is 'Mine'"),
            ({'class': Role}, 'should be a class that extends'),
            ({'class': Idle}, r"\['class'\]: Idle has no method run"),
            ({'class': dict}, 'should be a class that extends'),
            ({'autor': 'x'}, "unknown key 'autor'; known are format, class"),
            ({'version': 1.0}, "'version'. should be a string, and is float"),
            ({'config': []}, None), ({'config': ['x']}, 'should be a dictionary, and is list'),
            ({'config': {'a': 3}}, r"\['config'\]\['a'\] should be a dictionary, and is int"),
            ({'config': {'a': {'defualt': 3}}}, "unknown key 'defualt'"),
            ({'config': {'a': {'default': b'x'}}}, 'not a value that a file can have'),
            ({'config': {'a': {'default': TRANSPORT_NAME}}}, 'a role has no transport name'),
            ({'filters': 'event:tick'}, 'should be a list of filters'),
        ):
            if words is None:
                self.make(**info)
                continue
            with self.assertRaisesRegex(KozoError, words):
                self.make(**info)
        with self.assertRaisesRegex(KozoError, 'kozo.AuthenticatedTransport or kozo.Transport'):
            self.make('transport')

    def test_values(self):
        info = self.make(config={
            'who': {'default': NODE_NAME}, 'me': {'default': ROLE_NAME}, 'port': {'default': 9001}, 'rate': {'default': 1.0},
            'list': {'default': [1]}, 'need': {}, 'none': {'default': None}})
        got = info.values({'who': None, 'me': None, 'port': 9002.0, 'rate': 2, 'list': None, 'need': 5.0, 'none': None},
                          'clock', 'bell')
        self.assertEqual(got, {'who': 'clock', 'me': 'bell', 'port': 9002, 'rate': 2.0, 'list': [1], 'need': 5.0, 'none': None})
        self.assertEqual({k: type(got[k]) for k in ('port', 'rate', 'need')}, {'port': int, 'rate': float, 'need': float})
        got['list'].append(2)
        self.assertEqual(info.values({'need': 1}, 'clock', 'bell')['list'], [1])
        self.assertEqual(info.values({'need': 1, 'port': 0.5, 'who': 7}, 'a', 'b')['port'], 0.5)
        self.assertEqual(info.values({'need': 1, 'who': 7}, 'a', 'b')['who'], '7')
        with self.assertRaisesRegex(KozoError, "the option 'need' is missing"):
            info.values({}, 'a', 'b')

    def test_access(self):
        role = Mine('bell', {'a': 1})
        role['b'] = 2
        self.assertEqual((role['a'], role['b'], 'a' in role, 'c' in role, role.get('c', 3), role.getName()),
                         (1, 2, True, False, 3, 'bell'))
        with self.assertRaisesRegex(KeyError, "there is no option 'c'; there are a, b"):
            role['c']


if __name__ == '__main__':
    unittest.main()
