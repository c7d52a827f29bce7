"""Values in messages, and how they are written in JSON.

None, bool, int, float, str, bytes, lists and dictionaries with strings as keys.
A tuple is written as a list.
"""
import base64
import json
import math

from .errors import KozoError

DEPTH = 32  # of lists and dictionaries in each other
LEAST, MOST = -2 ** 63, 2 ** 64 - 1
MAX_LINE = 1 << 20

_FLOATS = {'NaN': math.nan, '+Inf': math.inf, '-Inf': -math.inf}


def plain(value, depth=0):
    """Turns a value into one that the json module writes as the protocol has it."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is int:
        if LEAST <= value <= MOST:
            return value
        raise KozoError('the number %s does not fit into 64 bits; send it as a string' % _short(value))
    if kind is float:
        if math.isfinite(value):
            return value
        return {'$float': 'NaN' if value != value else '+Inf' if value > 0 else '-Inf'}
    if kind is dict:
        return _object(value, depth)
    if kind is list or kind is tuple:
        if depth == DEPTH:
            raise KozoError('lists and dictionaries are nested more than %d deep' % DEPTH)
        return [plain(v, depth + 1) for v in value]
    if kind in (bytes, bytearray, memoryview):
        return {'$bytes': base64.b64encode(value).decode('ascii')}
    for base in (bool, int, float, str, bytes, list, tuple, dict):  # a subclass, such as an IntEnum
        if isinstance(value, base):
            return plain(base(value), depth)
    raise KozoError('%s is not a value that a message can have; they are None, bool, int, float, str, bytes, '
                    'lists, and dictionaries with strings as keys' % kind.__name__)


def _object(value, depth):
    if depth == DEPTH:
        raise KozoError('lists and dictionaries are nested more than %d deep' % DEPTH)
    out = {}
    for k, v in value.items():
        if not isinstance(k, str):
            raise KozoError('the keys of a dictionary in a message are strings, and %s is none' % _short(k))
        out[str(k)] = plain(v, depth + 1)
    if len(out) == 1:
        (k, v), = out.items()
        if k.startswith('$'):
            return {'$' + k: v}
    return out


def _short(value):
    text = repr(value) if not isinstance(value, int) else '%s of %d bits' % (type(value).__name__, value.bit_length())
    return text if len(text) <= 60 else text[:60] + '…'


def _marked(found):
    """Reads what plain has written as an object with one member."""
    if len(found) != 1:
        return found
    (k, v), = found.items()
    if k.startswith('$$'):
        return {k[1:]: v}
    if k == '$bytes' and isinstance(v, str):
        return base64.b64decode(v)
    if k == '$float' and isinstance(v, str) and v in _FLOATS:
        return _FLOATS[v]
    return found


def line(members):
    """Writes an object as a line. What is not Unicode in a string becomes U+FFFD."""
    text = json.dumps(members, ensure_ascii=False, separators=(',', ':'), allow_nan=False)
    try:
        out = text.encode('utf-8')
    except UnicodeEncodeError:  # half of a surrogate pair
        out = text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace').encode('utf-8')
    if len(out) >= MAX_LINE:
        raise KozoError('this has %d bytes as a line of JSON; the most is %d' % (len(out) + 1, MAX_LINE))
    return out + b'\n'


def read(text):
    """Reads a line."""
    text = text.decode('utf-8')  # json.loads would look for other encodings first
    if '"$' in text:
        return json.loads(text, object_hook=_marked)
    return json.loads(text)
