"""`python -m alexplore` is `alexplore`."""

from alexplore.cli import main

main()
