"""`python -m toolkit.cli`: the same as `kedge`."""

from toolkit.cli.start import main

main()
