"""A parser of arguments that says in one line what is wrong, and which name was meant.

``modiff-sim`` and the programs of the checkout share it. Only the standard library is imported at first, so that
``--help`` is fast.
"""

from __future__ import annotations

import argparse
from typing import Any

EXAMPLES = "examples:"
STDOUT = "-"  # the file of --csv and --json that stands for the output
PICTURES = ("--pdf", "--svg", "--png")  # options of other programs for a picture
#: options of other programs for any file
_ELSEWHERE = ("--out", "--output", "--save", "--file", "-o")


class Parser(argparse.ArgumentParser):
    """A parser whose messages name what was meant where a command, an option or a choice is unknown."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse the arguments, and report here the ones that are left: this parser knows the nearest option."""
        found, left = super().parse_known_args(args, namespace)
        if left:
            self.error(f"unrecognized arguments: {' '.join(left)}{self._meant(left)}")
        return found, left

    def _meant(self, left: list[str]) -> str:
        """Say which option was meant by arguments that are left."""
        from .names import meant

        options = [text.partition("=")[0] for text in left if text.startswith("-")]
        said = (f"; did you mean {instead!r}?" for option in options if (instead := self._for_files(option, left)))
        near = (meant(option, self._option_string_actions) for option in options if option not in PICTURES)
        return next(said, "") or next(filter(None, near), "")

    def _for_files(self, option: str, left: list[str]) -> str:
        """Return the option for output files that is meant by one of another program's, with its file.

        Other programs have an option per format (--pdf FILE) or one for all of them (--output FILE).
        """
        file = next((text.partition("=")[2] or text for text in left if "." in text), "FILE")
        ending = option if option in PICTURES else f"--{file.rpartition('.')[2].lower()}"
        known = self._option_string_actions
        if option not in (*PICTURES, *_ELSEWHERE):
            return ""
        if ending in PICTURES:
            formats = known["--format"].choices or () if "--format" in known else ()
            plain = ending.removeprefix("--")
            return f"--plot {file}" if "--plot" in known else f"--format {plain}" if plain in formats else ""
        return f"{ending} {file}" if ending in known else ""

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        if action.option_strings and arg_strings == ["--"]:  # argparse would make an empty list of ``--bits=--``
            raise argparse.ArgumentError(action, "expected an argument, got '--'")
        return super()._get_values(action, arg_strings)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            from .names import meant

            raise argparse.ArgumentError(action, error.message + meant(value, action.choices or ())) from None


class Help(argparse.HelpFormatter):
    """Help that leaves the lines of examples as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith(EXAMPLES) else super()._fill_text(text, width, indent)


def examples(program: str, *lines: str) -> str:
    r"""Return command lines as the end of a program's help, which ``Help`` shows as they are.

    Examples
    --------
    >>> examples("modiff-sim", "bounds", "simulate --bits 3").splitlines()
    ['examples:', '  modiff-sim bounds', '  modiff-sim simulate --bits 3']
    """
    return "\n".join([EXAMPLES, *(f"  {program} {line}".rstrip() for line in lines)])
