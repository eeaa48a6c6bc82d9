"""`python -m cspnas`."""

from cspnas.cli.app import main

main()
