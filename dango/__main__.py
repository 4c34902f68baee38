"""`python -m dango`."""

from dango.cli import main

main()
