"""`cspnas` and `python -m cspnas`."""

import sys

from cspnas.io.import_path import import_path
from cspnas.io.interrupts import exit_code, raise_on_signals


def main() -> None:
    """Run a command. Whoever interrupts it while it is still importing reads one line, too."""
    raise_on_signals()
    try:
        # Python puts the working folder first where it runs a module.
        sys.path[:] = import_path()
        from cspnas.cli.app import main as command
    except KeyboardInterrupt:
        sys.stderr.write("cspnas: interrupted\n")
        raise SystemExit(exit_code()) from None
    command()


if __name__ == "__main__":
    main()
