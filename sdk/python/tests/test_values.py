"""Values and messages."""
import ast
import enum
import glob
import json
import math
import os
import unittest

from fakenode import SDK
from kozo.errors import KozoError
from kozo.messages import Event, Log, Order
from kozo.values import line, plain, read


def trip(value):
    """There and back."""
    return read(line({'op': 'event', 'data': plain(value)}))['data']


class Values(unittest.TestCase):
    def test_round_trips(self):
        for value in (
            None, True, False, 0, -1, 2 ** 53 + 1, -2 ** 63, 2 ** 64 - 1, 0.5, 1.0, 1e300, -0.0, 5e-324, '', 'a"b\\\n\0',
            '構造', b'', b'\x00\xff', [], [1, [2, [None]]], {}, {'a': {'b': [b'x', 1.5]}}, {'$x': 1}, {'$$x': 1},
            {'$bytes': 'eA=='}, {'$float': 'NaN'}, {'$float': []}, {'$': {'$bytes': b'y'}}, {'$a': 1, '$b': 2},
            math.inf, -math.inf, {'x': [math.inf]},
        ):
            got = trip(value)
            self.assertEqual(got, value)
            self.assertIs(type(got), type(value))

    def test_floats_stay_floats(self):
        for value in (1.0, 1e22, -0.0):
            text = line({'data': plain(value)})
            self.assertTrue(b'.' in text or b'e' in text, text)
        self.assertTrue(math.isnan(trip(math.nan)))

    def test_near_relations(self):
        class Color(enum.IntEnum):
            RED = 7
        self.assertEqual(trip((1, 2)), [1, 2])
        self.assertEqual(trip(bytearray(b'x')), b'x')
        self.assertEqual(trip(memoryview(b'x')), b'x')
        self.assertEqual(trip(Color.RED), 7)
        self.assertEqual(trip('half \ud800 pair'), 'half \ufffd pair')

    def test_what_the_protocol_writes(self):
        self.assertEqual(plain({'$x': 1}), {'$$x': 1})
        self.assertEqual(plain(b'hello'), {'$bytes': 'aGVsbG8='})
        self.assertEqual(plain(math.inf), {'$float': '+Inf'})
        self.assertEqual(line({'a': '構', 'b': [1]}), '{"a":"構","b":[1]}\n'.encode())

    def test_refused(self):
        deep = 0
        for _ in range(33):
            deep = [deep]
        for value, words in (
            (2 ** 64, '64 bits'), (-2 ** 63 - 1, '64 bits'), (10 ** 5000, '64 bits'), ({1: 2}, 'strings'),
            ({1, 2}, 'set is not a value'), (object(), 'object is not'), (deep, 'nested more than 32'),
        ):
            with self.assertRaisesRegex(KozoError, words):
                plain(value)
        plain(deep[0])
        with self.assertRaisesRegex(KozoError, 'the most is 1048576'):
            line({'data': 'x' * (1 << 20)})
        self.assertEqual(len(line({'d': 'x' * ((1 << 20) - 9)})), 1 << 20)


class Messages(unittest.TestCase):
    members = {'type': 'tick', 'channel': 'c', 'node': 'clock', 'role': 'timer1', 'seq': 5, 'data': {'n': 1},
               'time': '2026-11-23T14:00:00.5Z'}

    def test_getters(self):
        event = Event(self.members)
        self.assertEqual((event.getType(), event.getEventType(), event.getChannel(), event.getData(),
                          event.getEventData(), event.getSequence()), ('tick', 'tick', 'c', {'n': 1}, {'n': 1}, 5))
        self.assertEqual(event.getSender().getName(), 'clock')
        self.assertEqual(event.getSenderRole().getName(), 'timer1')
        self.assertEqual(event.getSenderRole().getNode(), event.getSender())
        self.assertEqual(str(event), 'Event tick on c from timer1@clock')
        order = Order({'type': 'open', 'node': 'a', 'role': 'b'})
        self.assertEqual((order.getOrderType(), order.getOrderData(), order.getChannel()), ('open', None, None))
        log = Log({'type': 'warn', 'data': 'low', 'node': 'a', 'role': 'b'})
        self.assertEqual((log.getLevel(), log.getMessage()), ('warn', 'low'))
        self.assertEqual(Log({'type': 'info', 'data': [1]}).getMessage(), '[1]')

    def test_times(self):
        for text, seconds in (
            ('1970-01-01T00:00:00Z', 0), ('1970-01-01T00:00:01.000000001Z', 1.000000001), ('1969-12-31T23:59:59Z', -1),
            ('2026-11-23T14:00:00.5+01:30', 1795437000.5), ('2026-11-23T14:00:00-02:00', 1795449600),
        ):
            self.assertEqual(Event(dict(self.members, time=text)).getTimestamp(), seconds)


class Source(unittest.TestCase):
    def test_runs_on_the_oldest_python(self):
        """What is newer than the syntax of 3.9 is found, whatever Python the tests run on."""
        paths = glob.glob(os.path.join(SDK, 'kozo', '*.py'))
        self.assertGreater(len(paths), 10)
        for path in paths:
            with open(path, encoding='utf-8') as f:
                text = f.read()
            ast.parse(text, path, feature_version=(3, 9))
            self.assertLess(text.count('\n'), 400, path)
        with open(os.path.join(SDK, '__main__.py'), encoding='utf-8') as f:
            ast.parse(f.read(), feature_version=(3, 4))

    def test_json_members_have_no_spaces(self):
        self.assertEqual(json.loads(line({'op': 'x'})), {'op': 'x'})
        self.assertTrue(line({'op': 'event', 'a': 1}).startswith(b'{"op":"event",'))


if __name__ == '__main__':
    unittest.main()
