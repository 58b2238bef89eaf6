"""``python -m service.cli``: the same as ``face-api``."""

from service.cli import main

main(prog_name="face-api")
