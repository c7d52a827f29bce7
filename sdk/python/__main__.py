"""Runs a role or a transport that is written with the kozo package.

    python3 DIRECTORY FILE [--describe]

This file is kept in the syntax of every Python there is, to say what is wrong
with one that is too old.
"""
import sys

if sys.version_info < (3, 9):
    sys.exit("kozo: this is Python %d.%d, and roles and transports in Python need 3.9 or later; "
             "install a newer python3, first in the PATH of the node" % sys.version_info[:2])

# A cache that a power cut has shortened would keep the package from loading.
keep = sys.dont_write_bytecode
sys.dont_write_bytecode = True
from kozo.main import main  # noqa: E402
sys.dont_write_bytecode = keep

main(sys.argv[1:])
