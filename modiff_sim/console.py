"""What a program writes to the terminal: UTF-8 in every locale, and endings without a traceback.

Only the standard library is imported, so that ``--help`` is fast.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

_READABLE = "modiff_sim.readable"


#: errors that a program reports in one line: all that wrong arguments and files lead to
REFUSED = (ValueError, TypeError, OSError, ImportError, RuntimeError, ArithmeticError, MemoryError)


class Stopped(KeyboardInterrupt):
    """Ctrl-C, with a sentence on what is kept."""


def utf8_output() -> None:
    r"""Write UTF-8 to stdout and stderr from here on, whatever LC_ALL, PYTHONIOENCODING and the like say.

    Bytes of file names that could not be decoded are surrogates in Python's text. They are written as the bytes
    they stand for where these are UTF-8, and escaped, as \xff, where they are not. The output is UTF-8 in every
    case. Streams that are not files (a notebook's, a test's) stay as they are.
    """
    codecs.register_error(_READABLE, _readable)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors=_READABLE)


def _readable(error: UnicodeError) -> tuple[bytes, int]:
    """Error handler of the encoder: surrogates become the text that their bytes are, or are escaped."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    try:
        shown = text.encode("ascii", "surrogateescape").decode("utf-8", "backslashreplace").encode("utf-8")
    except UnicodeEncodeError:  # surrogates that do not stand for a byte
        shown = text.encode("ascii", "backslashreplace")
    return shown, error.end


def complain(text: str) -> None:
    """Print one line on stderr; do nothing where there is no stderr, or nobody reads it."""
    with contextlib.suppress(OSError, ValueError):
        if sys.stderr is not None:
            print(" ".join(text.splitlines()), file=sys.stderr, flush=True)


def finish(run: Callable[[], int], who: Callable[[], str], refused: tuple[type[BaseException], ...] = REFUSED) -> int:
    """Run a program and return its exit code, whatever happens to it.

    It is 0 where a reader leaves (``| head``), which is not an error; 130, with one line on stderr, for Ctrl-C; and
    2, with one line, for one of the ``refused`` errors or for output that cannot be written (a full disk). ``who``
    names the program in the line.
    """
    try:
        code = run()
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt as stopped:
        complain(f"{who()}: {str(stopped) or 'interrupted'}")
        return 130
    except refused as error:
        complain(f"{who()}: error: {one_line(error)}")
        return 2
    finally:
        _drop_output()  # also where argparse raises SystemExit


def one_line(error: BaseException, most: int | None = None) -> str:
    """What an error says, in one line of at most ``most`` characters: errors of libraries may quote whole files."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # raised by the error's own __str__
        text = ""
    if isinstance(error, OSError) and isinstance(error.filename, str | os.PathLike) and error.strerror:
        text = " ".join(f"{error.filename}: {error.strerror}".split())  # str(error) escapes non-ASCII names
    elif isinstance(error, OverflowError):
        text = f"overflow: {text}"
    elif not text:
        text = "out of memory" if isinstance(error, MemoryError) else type(error).__name__
    return text if most is None or len(text) <= most else f"{text[:most]}…"


def _drop_output() -> None:
    """Discard what is left for a stdout that takes no more: Python would try to write it once more at its end."""
    stream: Any = sys.stdout
    with contextlib.suppress(OSError, ValueError, AttributeError):
        stream.flush()
        return
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def raises_here() -> bool:
    """Whether Ctrl-C would raise KeyboardInterrupt here: in the main thread, with Python's own handler."""
    main = threading.current_thread() is threading.main_thread()
    return main and signal.getsignal(signal.SIGINT) is signal.default_int_handler


@contextlib.contextmanager
def on_interrupt(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Let Ctrl-C call ``handler`` within the block, where it would raise KeyboardInterrupt (``raises_here``)."""
    if not raises_here():
        yield
        return
    signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextlib.contextmanager
def interrupts() -> Iterator[Callable[[], None]]:
    """A function that raises KeyboardInterrupt if Ctrl-C was pressed in the meantime.

    Python raises KeyboardInterrupt wherever the main thread is. In a destructor or a callback it is printed and lost.
    """
    pressed = threading.Event()

    def note(number: int, frame: Any) -> None:
        pressed.set()
        signal.default_int_handler(number, frame)

    def check() -> None:
        if pressed.is_set():
            raise KeyboardInterrupt

    with on_interrupt(note):
        yield check


def importing(who: str) -> contextlib.AbstractContextManager[None]:
    """End the process with one line and code 130 where Ctrl-C comes within the block, in which a program imports.

    Libraries turn a KeyboardInterrupt in their imports into other exceptions, or print it and go on without a part.
    """

    def leave(*_: object) -> None:
        complain(f"{who}: interrupted before anything was begun")
        os._exit(130)

    return on_interrupt(leave)
