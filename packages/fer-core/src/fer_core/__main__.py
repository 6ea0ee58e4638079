"""`python -m fer_core` is `fer-run`."""

from fer_core.cli import main

main(prog_name="fer-run")
