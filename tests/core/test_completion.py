"""``modiff-sim completion``: the script completes commands, options and the names that options take."""

import shutil
import subprocess
import sys

import pytest
from command_line import run

import modiff_sim as ms
from modiff_sim import commands

#: asks the completion of bash for what could follow these words, the last of which has been begun
ASK = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_shtab_modiff_sim modiff-sim "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def script(capsys, tmp_path):
    pytest.importorskip("shtab")
    code, out, err = run(capsys, "completion", "bash")
    assert (code, err) == (0, "")
    path = tmp_path / "modiff-sim.bash"
    path.write_text(out, encoding="utf-8")
    return path


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ([""], commands.COMMANDS),
        (["wor"], ["worst-case"]),
        (["simulate", "--recursion", "clo"], ["closed_loop"]),
        (["simulate", "--recursion", "direct", "open"], ["open_loop"]),
        (["worst-case", "--recursion", ""], ["open_loop", "closed_loop"]),
        (["bounds", "--quantizer", ""], ms.QUANTIZERS),
        (["quantizers", "--quantizer", "mxfp4"], ["mxfp4_e2m1"]),
        (["simulate", "--process", ""], ms.processes.PROCESSES),
        (["contraction", "--distribution", "lap"], ["laplace"]),
        (["bounds", "--profile", "imp"], ["impulse"]),
        (["bounds", "--gran"], ["--granularity"]),
        (["completion", ""], ["bash", "zsh", "tcsh"]),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_bash_completes(script, words, wanted):
    asked = ["bash", "--norc", "-c", ASK, "bash", script, "modiff-sim", *words]
    found = subprocess.run(asked, capture_output=True, text=True, check=True, cwd=script.parent)
    assert found.stderr == ""
    assert set(found.stdout.split()) - {script.name} >= set(wanted)
    if words[-1]:
        assert found.stdout.split() == list(wanted)
    if words[0] == "worst-case":
        assert "direct" not in found.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_every_shell_gets_a_script_of_its_own_with_all_names(capsys, shell):
    pytest.importorskip("shtab")
    code, out, _ = run(capsys, "completion", shell)
    assert code == 0
    for name in (*commands.COMMANDS, *ms.QUANTIZERS, *ms.processes.PROCESSES, *ms.RECURSIONS, *ms.GRANULARITIES):
        assert name in out
    assert "--quantizer" in out


def test_without_shtab_the_extra_is_named(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    code, out, err = run(capsys, "completion", "bash")
    assert (code, out) == (2, "")
    assert err == "modiff-sim completion: error: completion needs shtab: pip install 'modiff-sim[completion]'\n"


def test_completion_imports_nothing_heavy(capsys):
    pytest.importorskip("shtab")
    code = (
        "import sys; from modiff_sim.cli import main\n"
        "assert main(['completion', 'bash']) == 0\n"
        "heavy = {'numpy', 'scipy', 'pandas', 'matplotlib', 'torch'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
