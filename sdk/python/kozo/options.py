"""The dictionaries roleInfo and transportInfo, and the options of a class."""
import copy
import json

from .errors import KozoError


class _Name:
    """Stands for a name that is known only when a role or a transport is made."""

    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return self.text.upper().replace(' ', '_')


# Defaults of options that are replaced by a name: of the node, of the role, of
# the transport.
NODE_NAME = _Name('node name')
ROLE_NAME = _Name('role name')
TRANSPORT_NAME = _Name('transport name')

KEYS = ('format', 'class', 'author', 'version', 'description', 'config')
ROLE_KEYS = KEYS + ('filters', 'publishes', 'needsStorage')
OPTION_KEYS = ('default', 'description', 'type', 'min', 'max', 'oneOf')
NAMES = {'role': (NODE_NAME, ROLE_NAME), 'transport': (NODE_NAME, TRANSPORT_NAME)}


class Configured:
    """Something with options: self['name'] is the value of one."""

    def __init__(self, name, config):
        self._name = name
        self._config = config

    def getName(self):
        """The name of the block in the configuration."""
        return self._name

    def __getitem__(self, key):
        try:
            return self._config[key]
        except KeyError:
            raise KeyError('there is no option %r; there are %s' % (
                key, ', '.join(sorted(self._config)) or 'none')) from None

    def __setitem__(self, key, value):
        self._config[key] = value

    def __contains__(self, key):
        return key in self._config

    def get(self, key, otherwise=None):
        """The value of an option, or something else where there is none."""
        return self._config.get(key, otherwise)


class Info:
    """A roleInfo or transportInfo dictionary that was checked."""

    def __init__(self, kind, info, bases, typeName):
        self.kind = kind
        self.typeName = typeName
        self._what = kind + 'Info'
        self._check(info, bases)
        self.info = info
        self.cls = info['class']
        self.options = info.get('config') or {}
        for name, option in self.options.items():
            self._checkOption(name, option)

    def _fail(self, text, *args):
        raise KozoError(self._what + (text % args if args else text))

    def _check(self, info, bases):
        if not isinstance(info, dict):
            self._fail(' should be a dictionary, and is %s', _kind(info))
        if info.get('format') != '1.0':
            self._fail("['format'] should be '1.0', and is %s",
                       repr(info['format']) if 'format' in info else 'missing')
        self._known(info, ROLE_KEYS if self.kind == 'role' else KEYS, '')
        cls = info.get('class')
        if not isinstance(cls, type) or not issubclass(cls, bases) or cls in bases:
            self._fail("['class'] should be a class that extends %s, and is %s",
                       ' or '.join('kozo.' + b.__name__ for b in bases),
                       repr(cls) if 'class' in info else 'missing')
        if self.kind == 'role' and cls.run is bases[0].run:
            self._fail("['class']: %s has no method run, which does the work", cls.__name__)
        for key in ('author', 'version', 'description'):
            if not isinstance(info.get(key, ''), str):
                self._fail('[%r] should be a string, and is %s', key, _kind(info[key]))
        config = info.get('config') or {}
        if not isinstance(config, dict):
            self._fail("['config'] should be a dictionary, and is %s", _kind(config))
        for key in ('filters', 'publishes'):
            filters = info.get(key, [])
            if not isinstance(filters, (list, tuple)) or not all(isinstance(f, (str, dict)) for f in filters):
                self._fail("[%r] should be a list of filters, such as ['event:tick']", key)

    def _checkOption(self, name, option):
        if not isinstance(name, str):
            self._fail("['config'] has strings as keys, and %r is none", name)
        where = '[%r][%r]' % ('config', name)
        if not isinstance(option, dict):
            self._fail("%s should be a dictionary, and is %s", where, _kind(option))
        self._known(option, OPTION_KEYS, where)
        default = option.get('default')
        if isinstance(default, _Name):
            if not any(default is n for n in NAMES[self.kind]):
                self._fail("%s['default']: a %s has no %s", where, self.kind, default.text)
            return
        try:
            json.dumps(default, allow_nan=False)
        except (TypeError, ValueError) as e:
            self._fail("%s['default'] is not a value that a file can have: %s", where, e)

    def _known(self, found, known, where):
        for key in found:
            if key not in known:
                self._fail('%s has the unknown key %r; known are %s', where, key, ', '.join(known))

    def schema(self):
        """The options, as --describe prints them."""
        return {name: self._option(option) for name, option in self.options.items()}

    def _option(self, option):
        out = {k: v for k, v in option.items() if k != 'default'}
        out['description'] = ' '.join(str(option.get('description', '')).split())
        if 'default' not in option:
            return out
        default = option['default']
        if isinstance(default, _Name):
            out['default'] = None
            text = out['description'].rstrip('.')
            out['description'] = '%sDefault: the %s.' % (text + '. ' if text else '', default.text)
        elif default is None or isinstance(default, (bool, str, dict)):
            out['default'] = default
        elif isinstance(default, (int, float)):
            out['default'] = default
            out.setdefault('type', 'number')  # where 1 stands for a default, 0.5 may stand in the file
        else:
            out['default'] = list(default)
            plain = all(isinstance(v, str) for v in default)
            out.setdefault('type', 'list' if plain else 'any')
        return out

    def values(self, given, node, name):
        """The values of the options of a block: what the file says, or defaults."""
        out = dict(given)
        for key, option in self.options.items():
            default = option.get('default')
            if key not in out and 'default' not in option:
                raise KozoError('the option %r is missing' % key)
            if out.get(key) is None and 'default' in option:
                if default is NODE_NAME:
                    default = node
                elif isinstance(default, _Name):
                    default = name
                out[key] = copy.deepcopy(default)
            elif isinstance(default, _Name):
                out[key] = str(out[key])  # a name may look like a number
            elif type(out.get(key)) is float and type(default) is int and out[key].is_integer():
                out[key] = int(out[key])
            elif type(out.get(key)) is int and type(default) is float:
                out[key] = float(out[key])
        return out


def _kind(value):
    return type(value).__name__
