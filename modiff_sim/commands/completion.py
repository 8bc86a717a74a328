"""``modiff-sim completion``: a script for the shell, made of the parser by shtab (extra [completion])."""

from __future__ import annotations

import argparse
from argparse import Namespace


def run(chosen: Namespace) -> int:
    """Print the script, which completes commands, options, files, and the ``words`` that ``cli`` noted for options."""
    try:
        import shtab
    except ImportError:
        raise RuntimeError("completion needs shtab: pip install 'modiff-sim[completion]'") from None
    for action in _actions(chosen.parser):
        if action.metavar in ("FILE", "DIR"):
            vars(action)["complete"] = shtab.FILE if action.metavar == "FILE" else shtab.DIRECTORY
        elif action.choices is None:
            action.choices = getattr(action, "words", lambda: None)()
    print(shtab.complete(chosen.parser, chosen.shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Return the options and arguments of a parser and of its commands."""
    found = list(parser._actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found += [inner for sub in action.choices.values() for inner in _actions(sub)]
    return found
