"""`python -m cspnas`."""

from cspnas.cli import main

main()
