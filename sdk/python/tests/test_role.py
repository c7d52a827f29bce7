"""Roles, as processes."""
import os
import subprocess
import sys
import threading
import time
import unittest

from fakenode import SDK, Case
from kozo import Role, Stop, role as module

INFO = "\nroleInfo = {'format': '1.0', 'class': Echo, 'filters': ['event:tick', {'kind': 'order', 'channel': '$door'}], "\
       "'config': {'door': {'default': 'front'}, 'rate': {'default': 1}}}\n"
ECHO = '''
from kozo import *
class Echo(Role):
    def run(self):
        message = self.getMessage()
        self.sendEvent('echo', data=message.getData())
        if message.getData() == 'stop here':
            self.sleep(1000)
''' + INFO


class Roles(Case):
    def test_hello_and_echo(self):
        p = self.role(ECHO, {'door': 'back', 'rate': 1})
        self.assertEqual(p.hello['filters'], ['event:tick', {'kind': 'order', 'channel': 'back'}])
        for data in ({'$bytes': 'eA=='}, 2 ** 64 - 1, 2 ** 53 + 1, 1.5, None, {'a': [{'b': None}]}, {'$float': 'NaN'}, {'$$x': 1}):
            p.message(data=data)
            self.assertEqual(p.expect('event', type='echo').get('data'), data)
        self.assertEqual(p.stop(), 0)

    def test_all_that_a_role_can_do(self):
        p = self.role('''
            from kozo import *
            class All(Role):
                def init(self):
                    self.steps = ['init']
                    assert self['who'] == self.getNode().getName() == 'scribe' and self['me'] == self.getName() == 'bell'
                    assert self.getNode().isSelf()
                def localInit(self):
                    self.steps.append('localInit')
                def isInterestedIn(self, message):
                    return isinstance(message, Order) and message.getOrderType() == 'do'
                def run(self):
                    message = self.getMessage(0.05)
                    if message is None:
                        return
                    what = message.getOrderData()
                    if what == 'send':
                        self.sendEvent('an event', 'c', {'a': b'x'})
                        self.sendOrder('open', 'door1')
                        self.sendLog('It is', 5, 'degrees', level='warn')
                        self.sendLog(self.steps)
                        self.info('a', 1); self.warn('b'); self.error('c')
                        print('printed', end=' '); print('line'); print('two\\nlines')
                    elif what == 'store':
                        was = self.getStorage('nothing')
                        self.setStorage({'n': b'y', '$k': {'$bytes': 1}})
                        self.sendEvent('stored', data=was)
                    elif what == 'interest':
                        self.setInterest(['event:tick'])
                        self.sendEvent('interested', data=self.getCounts())
                    elif what == 'finish':
                        print('bye', end='')
                        self.finish()
            roleInfo = {'format': '1.0', 'class': All,
                        'config': {'who': {'default': NODE_NAME}, 'me': {'default': ROLE_NAME}}}
            ''', {'who': None, 'me': None})
        self.assertEqual(p.hello['filters'], ['*'])
        p.message('event', 'do', data='send')  # not interesting
        p.message('order', 'do', data='send')
        self.assertEqual(p.expect('event'), {'op': 'event', 'type': 'an event', 'channel': 'c', 'data': {'a': {'$bytes': 'eA=='}}})
        self.assertEqual(p.expect('order'), {'op': 'order', 'type': 'open', 'channel': 'door1'})
        self.assertEqual(p.expect('log'), {'op': 'log', 'type': 'warn', 'data': 'It is 5 degrees'})
        self.assertEqual(p.expect('log'), {'op': 'log', 'type': 'info', 'data': "['init', 'localInit']"})
        self.assertEqual([p.expect('note') for _ in range(3)], [
            {'op': 'note', 'level': level, 'text': text} for level, text in (('info', 'a 1'), ('warn', 'b'), ('error', 'c'))])
        self.assertEqual([p.expect('print')['text'] for _ in range(3)], ['printed line', 'two', 'lines'])
        self.assertEqual(p.expect('ack', count=2), {'op': 'ack', 'count': 2})

        for answer, was in (({'found': False}, 'nothing'), ({'found': True, 'value': {'$bytes': 'eA=='}}, {'$bytes': 'eA=='})):
            p.message('order', 'do', data='store')
            p.send(dict(op='value', id=p.expect('get')['id'], **answer))
            m = p.expect('set')
            self.assertEqual(m['value'], {'n': {'$bytes': 'eQ=='}, '$k': {'$$bytes': 1}})
            p.send({'op': 'done', 'id': m['id']})
            self.assertEqual(p.expect('event', type='stored')['data'], was)

        p.message('order', 'do', data='interest')
        m = p.expect('interest', filters=['event:tick'])
        p.send({'op': 'done', 'id': m['id']})
        p.send({'op': 'counts', 'id': p.expect('counts')['id'], 'offered': 3, 'dropped': {}})
        self.assertEqual(p.expect('event', type='interested')['data'], {'offered': 3, 'dropped': {}})
        p.message('order', 'do', data='finish')
        p.expect('finish')
        self.assertEqual(p.end(), 0)
        self.assertEqual(p.expect('print')['text'], 'bye')

    def test_an_exception_is_a_line_with_its_traceback(self):
        for method, where in (('run', 'run'), ('init', 'init'), ('localInit', 'localInit'), ('__init__', 'making it')):
            args = 'self, *args' if method == '__init__' else 'self'
            p = self.role('''
                from kozo import *
                def deeper(): raise ValueError('this\\nand that')
                class Bad(Role):
                    def run(self): pass
                    def %s(%s): deeper()
                roleInfo = {'format': '1.0', 'class': Bad}
                ''' % (method, args))
            note = p.expect('note', level='error')['text']
            self.assertTrue(note.startswith(where + ' failed: Traceback'), note)
            self.assertIn('in deeper\n', note)
            self.assertNotIn('role.py', note)
            self.assertTrue(note.endswith('ValueError: this\nand that'), note)
            self.assertEqual(p.end(), 1)
            self.assertEqual(p.words[-1], where + ': ValueError: this and that (echo.py, line 3)')

    def test_a_file_that_does_not_load(self):
        p = self.role('import nosuchmodule\n' + ECHO)
        self.assertIn("No module named 'nosuchmodule'", p.expect('note', level='error')['text'])
        self.assertEqual(p.end(), 1)
        p = self.role('roleInfo = {}', hello=False)
        self.assertEqual(p.end(), 1)
        self.assertIn("['format'] should be '1.0'", p.words[-1])

    def test_exits_and_threads(self):
        p = self.role('''
            import sys, threading
            from kozo import *
            class Exits(Role):
                def run(self):
                    t = threading.Thread(target=lambda: 1 / 0, name='mine')
                    t.start(); t.join()
                    threading.Thread(target=lambda: self.getMessage()).start()
                    sys.exit('enough')
            roleInfo = {'format': '1.0', 'class': Exits}
            ''')
        note = p.expect('note')['text']
        self.assertTrue(note.startswith('thread mine failed: Traceback'), note)
        self.assertIn('ZeroDivisionError', note)
        self.assertEqual(p.expect('note')['text'], 'run failed: enough')
        self.assertEqual(p.end(), 1)  # the other thread holds up nothing

    def test_nothing_printed_gets_between_the_lines(self):
        p = self.role('''
            import os, subprocess, sys
            print('while loading')
            from kozo import *
            class Loud(Role):
                def run(self):
                    assert sys.stdin.read() == ''
                    os.write(1, b'{"op":"finish"}\\n')
                    subprocess.run(['echo', 'from a child'])
                    sys.stdout.write('x' * 100000 + '\\n')
                    sys.stdout.buffer.write(b'\\xff\\n')
                    self.sleep(1000)
            roleInfo = {'format': '1.0', 'class': Loud}
            ''')
        self.assertEqual(sum(len(p.expect('print')['text']) for _ in range(4)), 100000)
        self.assertEqual(p.expect('print')['text'], '\ufffd')
        self.assertEqual(p.stop(), 0)
        self.assertEqual(p.words, ['while loading', '{"op":"finish"}', 'from a child'])

    def test_modules_beside_the_file_and_in_the_import_path(self):
        self.write('beside.py', 'value = 1')
        self.write('queue.py', 'raise Exception("it hides the module of Python")')
        os.mkdir(os.path.join(self.dir, 'path'))
        self.write('path/elsewhere.py', 'value = 2')
        p = self.role('import beside, elsewhere, queue\n' + ECHO.replace(
            'message.getData()', '[beside.value, elsewhere.value]', 1), name='json.py',
            env={'PYTHONPATH': os.path.join(self.dir, 'path')})
        p.message()
        self.assertEqual(p.expect('event')['data'], [1, 2])


class Stopping(Case):
    def test_whatever_waits_is_stopped(self):
        for wait in ('self.getMessage()', 'self.getMessage(1000)', 'self.sleep(1000)', 'self.getStorage()'):
            p = self.role('''
                import atexit
                from kozo import *
                class Waits(Role):
                    def run(self):
                        atexit.register(lambda: self.sendEvent('exit'))
                        try:
                            try:
                                self.info('now'); %s
                            except Exception:
                                self.sendEvent('wrong')
                        finally:
                            self.setStorage('last'); self.sendEvent('cleaned')
                roleInfo = {'format': '1.0', 'class': Waits}
                ''' % wait)
            p.expect('note')
            self.assertEqual(p.stop(), 0)
            p.expect('set', value='last')
            p.expect('event', type='cleaned')
            p.expect('event', type='exit')

    def test_the_end_of_the_input_is_enough(self):
        p = self.role(ECHO)
        p.child.stdin.close()
        self.assertEqual(p.end(), 0)

    def test_a_swallowed_stop(self):
        p = self.role('''
            from kozo import *
            class Stubborn(Role):
                def run(self):
                    try: self.sleep(1000)
                    except BaseException: pass
            roleInfo = {'format': '1.0', 'class': Stubborn}
            ''')
        self.assertEqual(p.stop(), 0)


class Accounting(Case):
    def test_what_was_taken_is_acknowledged(self):
        p = self.role(ECHO)
        for i in range(1000):
            p.message(data=i)
        for i in range(1000):
            self.assertEqual(p.expect('event')['data'], i)
        acks = [p.expect('ack')['count'] for _ in range(1000 // 128)]
        if acks[-1] < 1000:
            acks.append(p.expect('ack', count=1000)['count'])
        self.assertEqual(acks, sorted(set(acks)))
        self.assertTrue(all(b - a <= 128 for a, b in zip([0] + acks, acks)), acks)

    def test_what_was_not_taken_is_not(self):
        p = self.role(ECHO)
        for i in range(5):
            p.message(data=i)
        p.message(data='stop here')
        for i in range(7):
            p.message(data=i)
        p.expect('ack', count=6)  # sleep tells
        p.send({'op': 'ping', 'n': 4})
        p.expect('pong', n=4)
        self.assertEqual(p.stop(), 0)
        self.assertEqual([m for m in p.kept if m['op'] == 'ack'], [])

    def test_a_failure_tells_first(self):
        p = self.role('from kozo import *\nclass Echo(Role):\n    def run(self):\n'
                      '        self.getMessage(); self.getMessage(); raise Exception("x")\n' + INFO)
        p.message()
        p.message()
        p.expect('ack', count=2)
        self.assertEqual(p.end(), 1)


class Time(Case):
    def role_with(self, body):
        return self.role('import time\nfrom kozo import *\nclass Echo(Role):\n    n = 0\n' + body + INFO, {'rate': 1})

    def test_a_run_that_does_nothing_does_not_spin(self):
        p = self.role_with('''
    def run(self):
        self.n += 1
        if self.getMessage(0) is not None:
            self.sendEvent('runs', data=[self.n, time.process_time(), time.monotonic()])
''')
        p.message()
        n0, _, t0 = p.expect('event')['data']
        time.sleep(0.5)
        p.message()
        n1, _, t1 = p.expect('event')['data']
        self.assertLessEqual(n1 - n0, (t1 - t0) / 0.01 + 3)

    def test_timeouts(self):
        p = self.role_with('''
    def run(self):
        t = time.monotonic(); m = self.getMessage(0.2)
        self.sendEvent('waited', data=[m is None, time.monotonic() - t])
        t = time.monotonic(); m = self.getMessage(-1)
        self.sendEvent('waited', data=[m is None, time.monotonic() - t])
        self.getMessage()
''')
        none, waited = p.expect('event')['data']
        self.assertTrue(none and 0.2 <= waited, waited)
        none, waited = p.expect('event')['data']
        self.assertTrue(none and waited < 0.2, waited)

    def test_what_cannot_be_sent(self):
        p = self.role_with('''
    def run(self):
        self.getMessage()
        for type, channel, data in (('', None, 1), (5, None, 1), ('x' * 256, None, 1), ('x', 7, 1), ('x', 'y' * 256, 1),
                                    ('x', None, object()), ('x', None, 'x' * (1 << 20)), ('x', None, {1: 2})):
            try:
                self.sendEvent(type, channel, data)
                self.sendEvent('sent', data=repr(type)[:50])
            except KozoError as e:
                self.sendEvent('refused')
''')
        p.message()
        for _ in range(8):
            p.expect('event', type='refused')


class Clock:
    """Stands for the host and for the time: nothing takes any, but what says so."""

    def __init__(self):
        self.now = 0.0
        self.stopping = threading.Event()

    def monotonic(self):
        return self.now

    def taken(self):
        return 0

    def sleep(self, seconds):
        assert seconds >= 0
        self.now += seconds


class RateControl(unittest.TestCase):
    def test_the_work_does_not_add_to_the_pause(self):
        clock, starts = Clock(), []

        class Works(Role):
            def getRateControl(self):
                return 10

            def run(self):
                starts.append(clock.now)
                clock.now += 25 if len(starts) == 3 else 4
                if len(starts) == 6:
                    clock.stopping.set()
        saved, module.time = module.time, clock
        self.addCleanup(setattr, module, 'time', saved)
        with self.assertRaises(Stop):
            module._repeat(Works('x', {}), clock)
        # What is late is done at once, and begins a new rhythm.
        self.assertEqual(starts, [0, 10, 20, 45, 55, 65])


class OldPython(unittest.TestCase):
    def test_it_says_so(self):
        """The first file is parsed by any Python; here one pretends to be old."""
        code = "import sys, runpy; sys.version_info = (3, 8, 1); runpy.run_path(%r, run_name='__main__')" % SDK
        done = subprocess.run([sys.executable, '-c', code], stderr=subprocess.PIPE, timeout=20)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b'this is Python 3.8, and roles and transports in Python need 3.9 or later', done.stderr)


if __name__ == '__main__':
    unittest.main()
