"""``python -m sfframe.cli`` is the command ``sfframe``."""

from sfframe.cli import main

main()
