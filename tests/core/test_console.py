"""What the commands write: UTF-8 whatever the locale, one line for an error, nothing after Ctrl-C or a reader's end."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from command_line import run

from modiff_sim import console

#: environments in which Python would write something else than UTF-8
LOCALES = {
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "POSIX, ascii asked for": {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"},
    "ISO-8859-1": {"LC_ALL": "de_DE.ISO-8859-1", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "latin-1 asked for": {"PYTHONIOENCODING": "latin-1"},
    "UTF-8": {"LC_ALL": "C.UTF-8"},
}


def started(*arguments, locale="UTF-8", **options):
    own = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "PYTHONIO", "PYTHONUTF8"))}
    command = [sys.executable, "-m", "modiff_sim.cli", *arguments]
    return subprocess.Popen(command, stdout=-1, stderr=-1, env=own | LOCALES[locale], **options)


def output(*arguments, **options):
    """(exit code, stdout, stderr) as bytes."""
    with started(*arguments, **options) as process:
        out, err = process.communicate(timeout=600)
    return process.returncode, out, err


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "fünf κ.npz"
    np.savez(path, inputs=np.random.default_rng(0).normal(size=(4, 2, 6)))
    return path


@pytest.mark.parametrize("locale", LOCALES)
def test_tables_are_utf8_whatever_the_locale(locale, recording):
    code, out, err = output("recommend", recording, locale=locale)
    assert (code, err) == (0, b"")
    assert "ρ: difference over input" in out.decode("utf-8")


@pytest.mark.parametrize("locale", LOCALES)
def test_errors_are_utf8_whatever_the_locale(locale, tmp_path):
    """A name in an error is the one that was given, also where the locale made surrogates of its bytes."""
    code, out, err = output("recommend", "größe κ ".encode() + b"\xff\xfe.npz", locale=locale, cwd=tmp_path)
    assert (code, out) == (2, b"")
    said = err.decode("utf-8")
    assert said.startswith("modiff-sim recommend: error: ")
    assert said.count("\n") == 1
    if locale not in ("ISO-8859-1",):  # there, if it is installed, every byte is a letter of its own
        assert r"größe κ \xff\xfe.npz: " in said


@pytest.mark.parametrize(
    "locale", [pytest.param(n, marks=[] if n.startswith("POSIX") else [pytest.mark.slow]) for n in LOCALES]
)
@pytest.mark.parametrize("command", [["verify"], ["bounds", "--profile"], ["simulate", "--seed"], []])
def test_bytes_that_are_no_text_are_escaped(locale, command, tmp_path):
    code, out, err = output(*command, b"not \xff\xfe text.npz", locale=locale, cwd=tmp_path)
    assert (code, out) == (2, b"")
    said = err.decode("utf-8")
    assert said.count("\n") == 1
    assert "Traceback" not in said
    if locale != "ISO-8859-1":
        assert r"not \xff\xfe text.npz" in said or r"not \udcff\udcfe text.npz" in said


def test_a_name_that_is_no_text_can_be_printed(tmp_path):
    """In a table, too: ``verify`` prints the paths of what is wrong."""
    folder = os.path.join(os.fsencode(tmp_path), b"odd \xff")
    os.mkdir(folder)
    Path(os.fsdecode(folder), "manifest.json").write_text("{", encoding="utf-8")
    code, out, err = output("verify", tmp_path)
    assert (code, err) == (1, b"")
    assert r"odd \xff" in out.decode("utf-8")


def test_readable_escapes_what_is_no_byte():
    console.utf8_output()
    assert "κ \udcce\udcba \udcff \ud800".encode("utf-8", "modiff_sim.readable").decode("utf-8") == r"κ κ \xff \ud800"


def test_streams_that_are_no_files_stay_as_they_are(monkeypatch):
    for stream in (io.StringIO(), None):
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "stderr", stream)
        console.utf8_output()
        console.complain("nobody hears it")
        assert console.finish(lambda: 3, lambda: "program") == 3


@pytest.mark.parametrize("option", ["--bits", "--granularity", "--seed", "--quantizer", "--plot"])
def test_two_dashes_are_no_value(capsys, option):
    """``--bits=--``: argparse makes an empty list of it."""
    for command in ("bounds", "contraction"):
        code, out, err = run(capsys, command, f"{option}=--")
        assert (code, out) == (2, "")
        assert err == f"modiff-sim {command}: error: argument {option}: expected an argument, got '--'\n"


# -- endings -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [["--help"], ["simulate", "--help"], ["bounds", "--steps", "3000"], ["quantizers"]]
)
def test_a_reader_that_leaves_at_once_is_no_error(arguments):
    with started(*arguments) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_one_line():
    with open("/dev/full", "wb") as full:
        found = subprocess.run([sys.executable, "-m", "modiff_sim.cli", "bounds"], stdout=full, stderr=-1, check=False)
    assert found.returncode == 2
    assert found.stderr.decode("utf-8") == "modiff-sim bounds: error: [Errno 28] No space left on device\n"


@pytest.mark.parametrize("closed", [1, 2])
def test_closed_streams_are_no_error(closed):
    code = f"import os, sys; os.close({closed}); os.execv(sys.executable, [sys.executable, '-m', 'modiff_sim.cli'"
    asked = code + ", *sys.argv[1:]])"
    found = subprocess.run([sys.executable, "-c", asked, "bounds", "--steps", "2"], capture_output=True, check=False)
    assert (found.returncode, found.stderr) == (0, b"")
    wrong = subprocess.run([sys.executable, "-c", asked, "bounds", "--steps", "0"], capture_output=True, check=False)
    assert (wrong.returncode, wrong.stdout) == (2, b"")


def computing(process):
    """Whether it has begun: it has threads, or has used much more processor time than its imports, which take 0.3 s."""
    fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return int(fields[17]) > 1 or seconds > 1.5


@pytest.mark.parametrize("workers", ["one trial", "many"])
def test_ctrl_c_ends_a_command_with_one_line(workers):
    """At once, although its threads have hours to go."""
    asked = ["simulate", "--steps", "20000", "--trials", "4096", "--d", "512"]
    if workers == "one trial":
        asked = ["simulate", "--steps", "2000000", "--trials", "1", "--d", "2", "--quantizer", "minmax"]
    with started(*asked) as process:
        while not computing(process):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=600)
    assert (process.returncode, out, err) == (130, b"", b"modiff-sim simulate: interrupted\n")


IMPORTING = """
import os, signal, sys, time

which, how = sys.argv[1:3]
del sys.argv[1:3]

class Library:
    \"\"\"As NumPy's C extension: Ctrl-C in its import is another error.\"\"\"
    def find_spec(self, name, path=None, target=None):
        if name == which:
            try:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(10)
            except KeyboardInterrupt:
                raise ImportError("the C extensions failed") from None

sys.meta_path.insert(0, Library())
from modiff_sim.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's ``&`` leaves it ignored
sys.exit(main(sys.argv[1:]) if how == "arguments" else main())
"""


@pytest.mark.parametrize(
    ("module", "how", "code", "said"),
    [
        ("numpy", "program", 130, "modiff-sim bounds: interrupted before anything was begun\n"),
        ("modiff_sim.commands", "program", 130, "modiff-sim bounds: interrupted before anything was begun\n"),
        ("matplotlib.figure", "program", 130, "modiff-sim bounds: interrupted before anything was begun\n"),
        ("numpy", "arguments", 2, "modiff-sim bounds: error: the C extensions failed\n"),  # not its own process
    ],
)
def test_ctrl_c_in_an_import_ends_a_command_with_one_line(tmp_path, module, how, code, said):
    asked = [module, how, "bounds", "--plot", tmp_path / "x.png"]
    ended = subprocess.run([sys.executable, "-c", IMPORTING, *asked], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "", said)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("two\nlines"), "two lines"),
        (MemoryError(), "out of memory"),
        (ZeroDivisionError("division by zero"), "division by zero"),
        (OverflowError("too large"), "overflow: too large"),
        (FileNotFoundError(2, "No such file", "a\nb"), "a b: No such file"),
        (OSError("several\n  lines"), "several lines"),
        (ImportError("no such module"), "no such module"),
        (KeyError("unforeseen"), None),
    ],
)
def test_an_error_is_one_line_unless_it_is_a_fault_of_ours(capsys, error, said):
    def fail():
        raise error

    if said is None:
        with pytest.raises(type(error)):
            console.finish(fail, lambda: "program")
        return
    assert console.finish(fail, lambda: "program") == 2
    assert capsys.readouterr().err == f"program: error: {said}\n"
