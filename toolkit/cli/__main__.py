"""`python -m toolkit.cli`: the same as `kedge`."""

from toolkit.cli.main import main

main()
