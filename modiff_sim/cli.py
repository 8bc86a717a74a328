"""The command ``modiff-sim``: simulate | bounds | contraction | worst-case | recommend | quantizers | verify.

This module holds what ``--help`` needs and imports nothing else. The commands are in ``commands/`` and are loaded when
one is run. Errors are one line on stderr, with exit code 2.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, NoReturn


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    Without ``arguments`` it takes those of the process, which Ctrl-C may then end at once.
    """
    from . import console

    chosen = argparse.Namespace(command="")

    def who() -> str:
        return f"modiff-sim {chosen.command or ''}".strip()

    def run() -> int:
        _parser().parse_args(arguments, chosen)
        with console.importing(who()) if arguments is None else nullcontext():
            from . import commands

            command = commands.load(chosen)
        return command(chosen)

    console.utf8_output()
    return console.finish(run, who)


class _Parser(argparse.ArgumentParser):
    """A parser that reports an error in one line, without the usage, in which the line would be lost."""

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        if action.option_strings and arg_strings == ["--"]:  # ``--bits=--``, of which argparse makes an empty list
            raise argparse.ArgumentError(action, "expected an argument, got '--'")
        return super()._get_values(action, arg_strings)

    def error(self, message: str) -> NoReturn:
        """Exit with code 2 and one line on stderr."""
        self.exit(2, f"{self.prog}: error: {' '.join(message.splitlines())}\n")


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 1000):
        raise argparse.ArgumentTypeError(f"an int >= 0, got {text[:100]!r}")
    return int(text)


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from . import __version__

        print(f"modiff-sim {__version__}")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="modiff-sim", description="Iterative quantization with and without error compensation, and its bounds."
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and stop")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if name != "verify":
            sub.add_argument("--json", action="store_true", help="print JSON instead of a table")
        if name not in ("verify", "quantizers"):
            sub.add_argument("--plot", metavar="FILE", help="also draw it: a .png, .pdf or .svg")
            sub.add_argument("--seed", type=_seed, default=0, help="root seed of whatever is drawn (default: 0)")
        return sub

    def quantizer(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--quantizer", default="absmax", metavar="NAME", help="see `modiff-sim quantizers` (absmax)")

    def number(sub: argparse.ArgumentParser, name: str, default: int, text: str) -> None:
        sub.add_argument(f"--{name}", type=int, default=default, help=f"{text} (default: {default})")

    def granularity(sub: argparse.ArgumentParser, **several: Any) -> None:
        known = "sample, batch, channel, token, group (runs of 32) or group:SIZE"
        own = "(default: the quantizer's own: group for the MX formats, sample for the others)"
        sub.add_argument("--granularity", metavar="NAME", help=f"which entries share a scale: {known} {own}", **several)

    def profile(sub: argparse.ArgumentParser) -> None:
        known = "constant, impulse, geometric or random"
        sub.add_argument("--profile", default="constant", metavar="NAME", help=f"{known} (default: constant)")
        sub.add_argument("--ratio", type=float, default=0.9, help="of the geometric profile (default: 0.9)")
        sub.add_argument("--at", type=int, help="which difference is the impulse (default: the newest)")

    s = command("simulate", "run the recursions on a process and compare their errors with the bounds")
    s.add_argument("--process", default="random_walk", metavar="NAME", help="input sequence (default: random_walk)")
    s.add_argument("--option", action="append", default=[], metavar="KEY=VALUE", help="of the process, as ratio=0.8")
    quantizer(s)
    number(s, "bits", 4, "bits")
    s.add_argument("--recursion", nargs="+", metavar="NAME", help="direct, open_loop, closed_loop (default: all)")
    number(s, "steps", 50, "model calls")
    number(s, "trials", 64, "independent sequences")
    number(s, "d", 64, "entries of a sample")
    granularity(s)
    s.add_argument("--warmup", default="exact", help="exact, quantized, or how often the first input is fed")
    s.add_argument("--refresh", default="never", help="never, every k calls, or calls such as 10,20")

    b = command("bounds", "tabulate every bound for a profile of differences")
    profile(b)
    number(b, "steps", 12, "number of differences")
    b.add_argument("--c", type=float, help="squared 2-norm contraction (default: the quantizer's, declared)")
    b.add_argument("--kappa", type=float, help="max-norm contraction (default: the quantizer's, declared)")
    quantizer(b)
    number(b, "bits", 4, "bits")
    number(b, "d", 64, "entries of a sample, for the declared c")
    granularity(b)

    k = command("contraction", "c and kappa of quantizers: declared, searched, measured")
    k.add_argument("--quantizer", default=["absmax"], nargs="+", metavar="NAME", help="one or more (default: absmax)")
    k.add_argument("--bits", type=int, default=[4], nargs="+", help="one or more (default: 4)")
    k.add_argument("--d", type=int, default=[64, 1024], nargs="+", help="entries of a sample (default: 64 1024)")
    known = "normal, laplace, t5, uniform, sparse, outlier"
    k.add_argument("--distribution", default=["normal"], nargs="+", metavar="NAME", help=f"{known} (default: normal)")
    granularity(k, nargs="+")
    k.add_argument("--recorded", metavar="FILE", help="also measure on a recording (steps, trials, d), .npy or .npz")
    number(k, "trials", 64, "independent draws")

    w = command("worst-case", "the worst error that any contractive quantizer allows, certified, against every bound")
    w.add_argument("--n", type=int, nargs="+", default=[1, 2, 4, 6, 8], help="differences (default: 1 2 4 6 8)")
    profile(w)
    w.add_argument("--c", type=float, help="squared 2-norm contraction (default: the quantizer's, declared)")
    quantizer(w)
    number(w, "bits", 4, "bits")
    number(w, "d", 64, "entries of a sample, for the declared c")
    granularity(w)
    w.add_argument("--recursion", nargs="+", metavar="NAME", help="open_loop, closed_loop (default: both)")

    m = command("recommend", "bits, granularity and refresh per recorded layer, and why")
    m.add_argument(
        "recording", metavar="FILE", help=".npz with an array (steps, trials, d) per layer, or .npy with one"
    )
    m.add_argument("--tolerance", type=float, default=0.05, help="error over the input's norm (default: 0.05)")
    m.add_argument("--criterion", default="bound", help="bound: sure, max norm; typical: RMS (default: bound)")
    m.add_argument(
        "--judged", default="sample", help="error of the whole sample, or of every channel (default: sample)"
    )
    m.add_argument("--trials", type=int, metavar="N", help="only N of the recorded trials, drawn by the seed")
    m.add_argument("--layer", nargs="+", metavar="NAME", help="only these layers (default: all)")

    q = command("quantizers", "list the quantizers and the laws they declare")
    number(q, "bits", 4, "bits at which c and kappa are given")
    number(q, "d", 64, "entries of a sample, for c")
    granularity(q)

    v = command("verify", "check the sha256 of every stored result below a folder; exit code 1 if any differs")
    v.add_argument("folder", metavar="DIR")
    return parser


if __name__ == "__main__":
    sys.exit(main())
