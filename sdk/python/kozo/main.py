"""Runs or describes a role or a transport."""
import atexit
import importlib.machinery
import importlib.util
import json
import os
import sys
import threading
import traceback

from . import role, serving
from .errors import MODULE, KozoError, Stop, describe, trace
from .host import Host
from .nodes import setSelf
from .options import Info
from .role import Role
from .transport import AuthenticatedTransport, Transport

BASES = {'role': (Role,), 'transport': (AuthenticatedTransport, Transport)}


def main(args):
    """Does what the command line says, and ends the program."""
    if len(args) not in (1, 2) or args[1:] not in ([], ['--describe']):
        sys.exit('usage: python3 DIRECTORY FILE [--describe]')
    path = os.path.abspath(args[0])
    # What the code of the user prints must not get between the lines for the node.
    incoming, outgoing = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    host = Host(incoming, outgoing)
    try:
        code = _describe(path, outgoing) if args[1:] else _run(path, host)
    except KozoError as e:
        print(describe(e), file=sys.stderr)
        code = 1
    host.acknowledge()
    _end(code)


def _end(code):
    """Ends the program, whatever threads are still busy."""
    atexit._run_exitfuncs()
    try:
        sys.stdout.close()
        sys.stderr.flush()
    except (OSError, ValueError):
        pass
    os._exit(code & 0xff)


def load(path, kind=None):
    """Runs the file and returns its Info. A KozoError says what is wrong with it."""
    name = os.path.basename(path)
    typeName = name[:-3] if name.endswith('.py') else name
    loader = importlib.machinery.SourceFileLoader(MODULE, path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(MODULE, loader))
    module.__file__ = path
    sys.modules[MODULE] = module
    # Modules beside the file can be imported, but hide none of Python's own.
    sys.path.append(os.path.dirname(path))
    try:
        exec(loader.source_to_code(loader.get_data(path), path), module.__dict__)
    except OSError as e:
        if e.filename == path:
            raise KozoError('cannot read %s: %s' % (path, e.strerror)) from None
        raise
    found = [k for k in ('role', 'transport') if hasattr(module, k + 'Info')]
    if len(found) > 1:
        raise KozoError('%s has a roleInfo and a transportInfo; a file is one type' % path)
    if kind is None and found:
        kind = found[0]
    if kind not in found:
        raise KozoError('%s has no %s; it is a dictionary at the end of the file' % (
            path, kind + 'Info' if kind else 'roleInfo and no transportInfo'))
    return Info(kind, getattr(module, kind + 'Info'), BASES[kind], typeName)


def _describe(path, outgoing):
    try:
        info = load(path)
    except KozoError:
        raise
    except BaseException as e:
        print(trace(e), file=sys.stderr)
        hint = '; directories of modules belong into importPath' if isinstance(e, ModuleNotFoundError) else ''
        print(describe(e) + hint, file=sys.stderr)
        return 1
    out = {'protocol': 1, 'kind': info.kind, 'name': info.typeName}
    out.update((key, info.info[key]) for key in ('version', 'author', 'description') if info.info.get(key))
    out['options'] = info.schema()
    if info.kind == 'role':
        out['filters'] = role.filters(info)
        out['needsStorage'] = bool(info.info.get('needsStorage'))
        if 'publishes' in info.info:
            out['publishes'] = list(info.info['publishes'])
    else:
        out['canConnect'] = info.cls.canConnect is not Transport.canConnect
        out['secure'] = not issubclass(info.cls, AuthenticatedTransport)
    text = (json.dumps(out, ensure_ascii=False) + '\n').encode('utf-8', 'replace')
    while text:
        text = text[os.write(outgoing, text):]
    return 0


def _run(path, host):
    hello = host.start()
    setSelf(hello.get('node'))
    threading.excepthook = lambda args: _thread(host, args)
    try:
        info = load(path, hello['kind'])
    except KozoError:
        raise
    except BaseException as e:
        host.write({'op': 'hello', 'protocol': 1})
        host.note('error', 'loading it failed: ' + trace(e))
        print(describe(e), file=sys.stderr)
        return 1
    return (role if info.kind == 'role' else serving).serve(host, info)


def _thread(host, args):
    """Logs an exception that has ended a thread of the user."""
    if args.exc_type in (Stop, SystemExit):
        return
    name = args.thread.name if args.thread else 'unknown'
    text = trace(args.exc_value) if args.exc_value else ''.join(traceback.format_tb(args.exc_traceback))
    host.note('error', 'thread %s failed: %s' % (name, text))
