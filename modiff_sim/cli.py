"""The command ``modiff-sim``: its parser, and how a command is run.

This module only imports what ``--help`` needs. The commands are in ``commands/``, and a command is loaded when it is
run. Errors are one line on stderr, with exit code 2.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NoReturn

from .parsing import STDOUT, Help, Parser, examples

RECORDED = (".npy", ".npz")  # endings of recordings


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


#: option -> the folder and the dictionary that hold the names which it takes
NAMED = {
    "quantizer": ("quantizers", "QUANTIZERS"),
    "granularity": ("quantizers/granularity", "GRANULARITIES"),
    "process": ("simulation/processes", "PROCESSES"),
    "recursion": ("recursion/kinds", "RECURSIONS"),
    "distribution": ("contraction", "DISTRIBUTIONS"),
}


def _names(what: str) -> list[str]:
    """Return the names that an option takes, read from files: nothing is imported."""
    from .registry import named

    folder, kind = NAMED[what]
    return list(named(Path(__file__).parent / folder, kind))


class _Help(Help):
    """Help that lists names where their option stands in braces."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help
        for what in NAMED:
            if text and f"{{{what}}}" in text:
                shown = sorted(_names(what), key=lambda one: one != "sample")  # the usual granularity first
                names = ", ".join("group (runs of 32)" if one == "group" else one for one in shown)
                text = text.replace(f"{{{what}}}", names)
        return text

    def add_argument(self, action: argparse.Action) -> None:
        """Leave room for the indentation of the commands, which argparse forgets."""
        super().add_argument(action)
        if isinstance(action, argparse._SubParsersAction):
            self._action_max_length += self._indent_increment


class _Parser(Parser):
    """A parser that reports an error in one line, without the usage, in which the line would be hard to find.

    ``given`` are the options that were typed, whatever their defaults are.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": _Help} | options)
        self.given: set[str] = set()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse the arguments. A recording is what a command works on, and no file that it writes."""
        typed = list(sys.argv[1:] if args is None else args)
        for i, following in enumerate(typed[1:]):
            if typed[i] in ("--csv", "--json") and following.lower().endswith(RECORDED):
                typed[i] += f"={STDOUT}"
        return super().parse_known_args(typed, namespace)

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        if action.option_strings:
            self.given.add(action.dest)
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


def _number(sub: argparse.ArgumentParser, name: str, default: int, text: str) -> None:
    sub.add_argument(f"--{name}", type=int, default=default, help=f"{text} (default: {default})")


def _words(action: argparse.Action, *words: str) -> None:
    """Note the words that an option takes, or else the names of its registry: ``completion`` asks for them."""
    vars(action)["words"] = lambda: list(words) or _names(action.dest)


def _quantizer(sub: argparse.ArgumentParser, usual: str = "absmax", **several: Any) -> None:
    text = "NAME, NAME:BITS or NAME:BITS@GRANULARITY, such as absmax:3@channel; see `modiff-sim quantizers`"
    _words(sub.add_argument("--quantizer", metavar="NAME", help=f"{text} (default: {usual})", **several))


def _bits(sub: argparse.ArgumentParser, default: Any = 4, **several: Any) -> None:
    text = "bits of a quantizer whose name does not say how many"
    sub.add_argument("--bits", type=int, default=default, help=f"{text} (default: 4)", **several)


def _granularity(sub: argparse.ArgumentParser, **several: Any) -> None:
    known = "{granularity}, group:SIZE or channel:axis=AXES"
    own = "(default: group for the MX formats, sample for the others)"
    about = f"which entries share a scale: {known} {own}"
    _words(sub.add_argument("--granularity", metavar="NAME", help=about, **several))


def _profile(sub: argparse.ArgumentParser) -> None:
    known = "constant, impulse, geometric or random"
    profile = sub.add_argument("--profile", default="constant", metavar="NAME", help=f"{known} (default: constant)")
    _words(profile, "constant", "impulse", "geometric", "random")
    sub.add_argument("--ratio", type=float, default=0.9, help="ratio of the geometric profile (default: 0.9)")
    sub.add_argument("--at", type=int, help="which difference is the impulse (default: the newest)")


def _simulate(s: argparse.ArgumentParser) -> None:
    _quantizer(s, nargs="+", default=["absmax"])
    _bits(s)
    _granularity(s)
    known = "{process} (default: random_walk); NAME:D has inputs of D entries"
    about = f"input: {known}, and a file (.npy, .npz) is a recording (steps, trials, d)"
    _words(s.add_argument("--process", nargs="+", default=["random_walk"], metavar="NAME", help=about))
    s.add_argument(
        "--option", action="append", default=[], metavar="KEY=VALUE", help="option of a process, such as ratio=0.8"
    )
    _words(s.add_argument("--recursion", nargs="+", metavar="NAME", help="{recursion} (default: all)"))
    _number(s, "steps", 50, "model calls")
    _number(s, "trials", 64, "independent sequences")
    _number(s, "d", 64, "entries of a sample")
    often = "exact, quantized, or how often the first input is fed (default: exact)"
    _words(s.add_argument("--warmup", default="exact", help=often), "exact", "quantized")
    when = "never, every k calls, or calls such as 10,20 (default: never)"
    _words(s.add_argument("--refresh", default="never", help=when), "never")


def _declared(sub: argparse.ArgumentParser) -> None:
    """The quantizer whose declared constants a bound is computed from."""
    _quantizer(sub, default="absmax")
    _bits(sub)
    _number(sub, "d", 64, "entries of a sample, for the declared c")
    _granularity(sub)


def _bounds(b: argparse.ArgumentParser) -> None:
    _profile(b)
    _number(b, "steps", 12, "number of differences")
    b.add_argument("--c", type=float, help="squared 2-norm contraction (default: declared by the quantizer)")
    b.add_argument("--kappa", type=float, help="max-norm contraction (default: declared by the quantizer)")
    _declared(b)


def _contraction(k: argparse.ArgumentParser) -> None:
    _quantizer(k, nargs="+", default=["absmax"])
    _bits(k, default=[4], nargs="+")
    k.add_argument("--d", type=int, default=[64, 1024], nargs="+", help="entries of a sample (default: 64 1024)")
    drawn = "{distribution} (default: normal)"
    _words(k.add_argument("--distribution", default=["normal"], nargs="+", metavar="NAME", help=drawn))
    _granularity(k, nargs="+")
    k.add_argument("--recorded", metavar="FILE", help="also measure on a recording (steps, trials, d), .npy or .npz")
    _number(k, "trials", 64, "independent draws")


def _worst_case(w: argparse.ArgumentParser) -> None:
    w.add_argument(
        "--n", type=int, nargs="+", default=[1, 2, 4, 6, 8], help="numbers of differences (default: 1 2 4 6 8)"
    )
    _profile(w)
    w.add_argument("--c", type=float, help="squared 2-norm contraction (default: declared by the quantizer)")
    _declared(w)
    loops = w.add_argument("--recursion", nargs="+", metavar="NAME", help="open_loop, closed_loop (default: both)")
    _words(loops, "open_loop", "closed_loop")


def _recommend(m: argparse.ArgumentParser) -> None:
    m.add_argument(
        "recording", metavar="FILE", help=".npz with an array (steps, trials, d) per layer, or .npy with one"
    )
    m.add_argument(
        "--tolerance", type=float, default=0.05, help="largest error over the norm of the input (default: 0.05)"
    )
    which = "bound (guaranteed, max norm) or typical (RMS) (default: bound)"
    _words(m.add_argument("--criterion", default="bound", help=which), "bound", "typical")
    whose = "error of the whole sample, or of every channel (default: sample)"
    _words(m.add_argument("--judged", default="sample", help=whose), "sample", "channel")
    m.add_argument("--trials", type=int, metavar="N", help="use only N of the recorded trials, drawn by the seed")
    m.add_argument("--layer", nargs="+", metavar="NAME", help="only these layers (default: all)")


def _quantizers(q: argparse.ArgumentParser) -> None:
    _quantizer(q, "all", nargs="+")
    _bits(q)
    _number(q, "d", 64, "entries of a sample, for c")
    _granularity(q)


def _verify(v: argparse.ArgumentParser) -> None:
    v.add_argument("folder", metavar="DIR")


def _explore(c: argparse.ArgumentParser) -> None:
    c.add_argument("--port", type=int, default=2718, help="where the page is served on this machine (default: 2718)")
    c.add_argument("--no-browser", action="store_true", help="do not open a browser")


def _completion(c: argparse.ArgumentParser) -> None:
    c.add_argument("shell", choices=("bash", "zsh", "tcsh"), help="whose script to print")


#: command -> what it does, and the function that gives its parser its options
_COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "simulate": ("run the recursions on processes and compare their errors with the bounds", _simulate),
    "bounds": ("tabulate every bound for a profile of differences", _bounds),
    "contraction": ("show c and kappa of quantizers: declared, searched, measured", _contraction),
    "worst-case": ("compare the certified worst error of all contractive quantizers with every bound", _worst_case),
    "recommend": ("recommend bits, granularity and refresh for each recorded layer, and say why", _recommend),
    "explore": ("open a page on which quantizer assumptions are explored (extra [explore])", _explore),
    "quantizers": ("list the quantizers and the laws they declare", _quantizers),
    "verify": ("check the sha256 of every stored result below a folder; exit code 1 if any differs", _verify),
    "completion": ("print a script that completes commands, options and names in a shell", _completion),
}
#: command -> lines that run, shown below its help
_EXAMPLES = {
    "simulate": (
        "simulate --quantizer absmax:3 stochastic:3 --process ar1 burst:256",
        "simulate --process geometric --option ratio=0.8 --plot errors.png",
        "simulate --quantizer absmax:4@channel --csv rows.csv",
    ),
    "bounds": (
        "bounds --quantizer absmax:3 --d 1024",
        "bounds --profile geometric --ratio 0.8 --plot bounds.png",
        "bounds --c 0.3 --kappa 0.1 --json bounds.json",
    ),
    "contraction": (
        "contraction --quantizer absmax:3 minmax:3 --d 64 4096",
        "contraction --quantizer mxfp4_e2m1 --distribution t5 outlier --csv",
    ),
    "worst-case": (
        "worst-case --quantizer absmax:3 --d 16 --n 1 2 4",
        "worst-case --c 0.6 --recursion closed_loop --csv",
    ),
    "recommend": (
        "recommend layers.npz --tolerance 0.05 --plot layers.png",
        "recommend layers.npz --criterion typical --trials 2 --csv",
    ),
    "quantizers": (
        "quantizers --bits 3 --d 1024",
        "quantizers --quantizer absmax:4@group:32 mxint8 --csv",
    ),
    "verify": ("verify out/results", "verify out"),
    "explore": ("explore", "explore --port 8080 --no-browser"),
    "completion": (
        "completion bash > modiff-sim.bash",
        "completion zsh > _modiff-sim",
    ),
}


def _examples(command: str) -> str:
    return examples("modiff-sim", *_EXAMPLES[command])


def _output(sub: argparse.ArgumentParser, command: str) -> None:
    """Add the options that say what is printed and drawn."""
    if command in ("verify", "completion", "explore"):
        return
    either = "to stdout instead of a table, or as well into a file"
    for form, what in (("json", "the results as JSON"), ("csv", "the rows of the JSON as CSV")):
        sub.add_argument(f"--{form}", nargs="?", const=STDOUT, metavar="FILE", help=f"write {what}: {either}")
    if command != "quantizers":
        sub.add_argument("--plot", metavar="FILE", help="also draw a picture: .png, .pdf or .svg")
        sub.add_argument("--seed", type=_seed, default=0, help="root seed of all random numbers (default: 0)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="modiff-sim",
        description="Simulate quantization with and without error compensation, and compute its bounds.",
        epilog="`modiff-sim COMMAND --help` shows the options of a command, and examples.",
    )
    parser.add_argument(
        "--version", action=_Version, nargs=0, default=argparse.SUPPRESS, help="print the version and stop"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (text, add_options) in _COMMANDS.items():
        about = text[0].upper() + text[1:] + "."
        sub = commands.add_parser(name, help=text, description=about, epilog=_examples(name))
        add_options(sub)
        _output(sub, name)
        sub.set_defaults(parser=parser, given=sub.given)
    return parser


if __name__ == "__main__":
    sys.exit(main())
