"""`python -m leadglass.cli` is `leadglass`."""

from leadglass.cli.main import main

main()
