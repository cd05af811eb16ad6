"""The command line: ``polyad demo | info | train | evaluate | recall | bench``."""

from polyad.cli.app import app, main

__all__ = ["app", "main"]
