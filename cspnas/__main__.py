"""`python -m cspnas`."""

import sys

from cspnas.io.import_path import import_path

# Python puts the working folder first.
sys.path[:] = import_path()

from cspnas.cli.app import main  # noqa: E402 (after the path)

main()
