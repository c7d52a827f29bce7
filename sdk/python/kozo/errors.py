"""What can go wrong, and the end."""
import os
import traceback


class KozoError(Exception):
    """Something that the node, or the file at hand, cannot do."""


class OptionError(KozoError):
    """Says which option is at fault. init raises it for a value that is not right."""

    def __init__(self, option, text):
        KozoError.__init__(self, '%s: %s' % (option, text))
        self.option = option
        self.text = text


class Stop(BaseException):
    """Raised in whatever waits when the node stops the program.

    It is no Exception, so that `except Exception` lets it through.
    """


MODULE = 'kozofile'  # the file of the user; no file hides a module by this name
HERE = os.path.dirname(os.path.abspath(__file__))
MOST = 3500  # bytes of a traceback; the node cuts lines of the log at 4 KiB


def describe(error):
    """One line about an exception, and where in the file of the user it comes from."""
    text = ' '.join(str(error).split())
    name = type(error).__name__
    if isinstance(error, KozoError):
        return text
    text = '%s: %s' % (name, text) if text else name
    if isinstance(error, (OSError, SyntaxError)):
        return text  # an OSError is mostly not of the file's making; a SyntaxError says where it is
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        if frame.f_globals.get('__name__') == MODULE:
            return '%s (%s, line %d)' % (text, os.path.basename(frame.f_code.co_filename), line)
    return text


def trace(error):
    """The traceback of an exception, from the first line outside this package on."""
    tb = error.__traceback__
    first = tb
    while first is not None and os.path.dirname(os.path.abspath(first.tb_frame.f_code.co_filename)) == HERE:
        first = first.tb_next
    if isinstance(error, SyntaxError):
        first = tb = None  # it says by itself where it is
    lines = traceback.format_exception(type(error), error, first or tb)
    text = ''.join(lines).rstrip()
    if len(text) > MOST:
        text = text[:MOST // 3] + '\n  …\n' + text[-MOST * 2 // 3:]
    return text
