"""The examples of the documentation."""
import os
import shutil
import subprocess
import threading
import time
import unittest

from fakenode import SDK, Case, receive
from test_transport import free


def example(name):
    """The path of an example."""
    return os.path.join(SDK, 'examples', name)


class Roles(Case):
    def start_role(self, name, options):
        p = self.start(example(name), {
            'op': 'hello', 'protocol': 1, 'kind': 'role', 'mode': 'run', 'node': 'house', 'name': 'bell', 'type': name[:-3],
            'options': options, 'filters': [], 'storage': True})
        p.hello = p.expect('hello')
        return p

    def stored(self, p, found):
        """Answers a request for what is stored."""
        p.send(dict({'op': 'value', 'id': p.expect('get')['id'], 'found': found is not None}, value=found))

    def test_doorbell(self):
        p = self.start_role('doorbell.py', {'sound': 'ding', 'channel': None})
        self.assertEqual(p.hello['filters'], ['event:press', {'kind': 'order', 'type': 'quiet', 'channel': 'bell'}])
        self.stored(p, 41)
        p.message('event', 'press', node='gate')
        m = p.expect('set', value=42)
        p.send({'op': 'done', 'id': m['id']})
        p.expect('print', text='ding')
        self.assertEqual(p.expect('event', type='ring')['data'], {'door': 'gate', 'count': 42})
        p.message('order', 'quiet', data=1000)
        p.expect('note', text='quiet, as timer1@clock has asked')
        p.message('event', 'press', node='gate')
        p.expect('log', type='warn', data='Somebody is at gate')
        self.assertEqual(p.stop(), 0)

    def test_thermometer(self):
        path = self.write('temp', '81500\n')
        p = self.start_role('thermometer.py', {'period': 0.05, 'limit': 80, 'file': path})
        for _ in range(3):
            self.assertEqual(p.expect('event')['data'], 81.5)
            p.expect('log', type='warn', data='It is 81.5 degrees hot')
        self.write('temp', '20000')
        p.expect('event', data=20.0)
        os.remove(path)
        self.assertIn('FileNotFoundError', p.expect('note', level='error')['text'])
        self.assertEqual(p.end(), 1)


class Transports(Case):
    def connect(self, name, a, b):
        """Connects a transport of the node b to one of the node a. Returns both ends."""
        path = example(name)
        block = self.block(a, 'a', typ=name[:-3])
        a, b = self.transport(path, a, node='a'), self.transport(path, b, node='b')
        for p in (a, b):
            self.assertEqual(p.ask('listen')['op'], 'done')
        (s, spath), (d, dpath) = self.listener(), self.listener()
        a.send({'op': 'accept', 'id': 'a', 'socket': spath, 'token': 't'})
        b.send({'op': 'connect', 'id': 'c', 'endpoint': 'x', 'index': 0, 'remote': block, 'timeout': 10, 'socket': dpath,
                'token': 'd'})
        self.addCleanup(lambda: self.assertEqual([p.kept for p in (a, b) if p.kept], []))
        answer = b.answer('c')
        if answer['op'] == 'error':
            return answer['text'], a.expect('note')['text']
        (dialled, dline), (accepted, aline) = self.handed(d), self.handed(s)
        self.assertEqual(a.answer('a')['op'], 'done')
        self.assertEqual((dline.get('peer'), aline.get('peer')), ('a', 'b') if name == 'tls.py' else (None, None))
        return dialled, accepted

    def both_ways(self, x, y):
        """Sends much both ways at the same time."""
        data = os.urandom(2 << 20)
        threads = [threading.Thread(target=end.sendall, args=(data,)) for end in (x, y)]
        got = []
        threads += [threading.Thread(target=lambda e=end: got.append(receive(e, len(data)) == data)) for end in (x, y)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(got, [True, True])

    def test_mytransport(self):
        dialled, accepted = self.connect('mytransport.py', {'port': free(), 'address': ['127.0.0.1', 'x']},
                                         {'port': free(), 'address': 'x'})
        self.both_ways(dialled, accepted)
        accepted.close()
        self.assertEqual(dialled.recv(1), b'')

    @unittest.skipUnless(shutil.which('openssl'), 'this needs the program openssl')
    def test_tls(self):
        def openssl(*args):
            subprocess.run(('openssl',) + args, cwd=self.dir, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

        def options(name, authority='ca', **more):
            openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/O=home/CN=' + name,
                    '-keyout', name + authority + '.key', '-out', 'csr')
            openssl('x509', '-req', '-in', 'csr', '-CA', authority + '.pem', '-CAkey', authority + '.key', '-CAcreateserial',
                    '-out', name + authority + '.pem')
            files = {'certificate': name + authority + '.pem', 'key': name + authority + '.key', 'authority': 'ca.pem'}
            files = {k: os.path.join(self.dir, v) for k, v in files.items()}
            return dict(files, port=free(), address='127.0.0.1', **more)
        for ca in ('ca', 'evil'):
            openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=' + ca,
                    '-keyout', ca + '.key', '-out', ca + '.pem')

        dialled, accepted = self.connect('tls.py', options('a'), options('b'))
        time.sleep(4)  # receive has timed out meanwhile, and that is no error
        self.both_ways(dialled, accepted)
        dialled.close()
        self.assertEqual(accepted.recv(1), b'')

        why, note = self.connect('tls.py', options('a', 'evil'), options('b'))
        self.assertIn('CERTIFICATE_VERIFY_FAILED', why)
        self.assertIn('accept failed', note)


if __name__ == '__main__':
    unittest.main()
