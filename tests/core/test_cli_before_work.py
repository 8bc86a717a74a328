"""No work is lost: what cannot be done is refused before anything is computed, and results come before pictures."""

import os

import pytest
from command_line import run


@pytest.fixture
def no_work(monkeypatch):
    """Nothing may be measured."""
    for command in (
        "contraction.atlas",
        "simulate.simulate",
        "worst_case.simulate",
        "recommend.recommendation.recommend",
    ):
        monkeypatch.setattr(f"modiff_sim.commands.{command}", None)
    monkeypatch.setattr("modiff_sim.bounds.BOUNDS", None)
    monkeypatch.setattr("modiff_sim.bounds.certificates.closed_loop", None)
    monkeypatch.setattr("modiff_sim.bounds.certificates.open_loop", None)


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("contraction", "--bits", *range(2, 11), "--plot", "x.png", "--csv"),
         "--plot can show 8 colours, but --bits has 9"),
        (("contraction", "--quantizer", "absmax", "minmax", "--bits", *range(2, 7), "--d", 8, 16, "--plot", "x.png"),
         "--plot can show 4 lines, but --bits has 5"),
        (("contraction", "--quantizer", "absmax:3", "minmax:3@chanel"), "did you mean 'channel'?"),
        (("contraction", "--quantizer", "absmax:3", "minmx:3"), "did you mean 'minmax'?"),
        (("contraction", "--quantizer", "absmax:3", "minmax:33"), "MinMax needs 1 <= bits <= 32, got 33"),
        (("contraction", "--quantizer", "absmax:3", "mxint8:4"), "MXINT8 has 8 bits, got 4"),
        (("contraction", "--distribution", "normal", "cauchy"), "unknown distribution 'cauchy'"),
        (("contraction", "--d", 8, 0), "--d must be an int >= 1, got 0"),
        (("worst-case", "--recursion", "closed_loop", "direct"), "unknown recursion 'direct'"),
        (("worst-case", "--n", 8, 2, "--profile", "impulse", "--at", 3), "one of the differences 0..1, got 3"),
        (("worst-case", "--n", 1, 30, "--profile", "geometric", "--ratio", 1e200), "must all be finite"),
    ],
    ids=lambda v: " ".join(map(str, v)) if isinstance(v, tuple) else "",
)  # fmt: skip
def test_what_cannot_be_done_is_refused_before_the_work(capsys, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert said in err


DRAW = (("simulate",), ("bounds",), ("contraction",), ("worst-case",), ("recommend", "RECORDING"))


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("command", DRAW, ids=lambda c: c[0])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("folder.png", "this is not a file, and would be replaced by one"),
        ("pipe.svg", "this is not a file, and would be replaced by one"),
        ("/proc/x.png", "cannot be written: "),
        (f"{'x' * 300}.png", "cannot be written: File name too long"),
        (f"{'x' * 245}.png", "cannot be written: File name too long"),  # as the name of the temporary file is longer
    ],
    ids=lambda v: v[:10],
)
def test_where_no_picture_can_be_written_nothing_is_begun(
    capsys, tmp_path, monkeypatch, recording, command, name, said
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.svg")
    before = sorted(os.listdir(tmp_path))
    code, out, err = run(capsys, *(recording if a == "RECORDING" else a for a in command), "--plot", name)
    assert (code, out) == (2, "")
    assert f"--plot {name}: {said}" in err
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_to_is_refused(capsys, tmp_path):
    tmp_path.chmod(0o500)
    assert "cannot be written: Permission denied" in run(capsys, "bounds", "--plot", tmp_path / "x.png")[2]


@pytest.mark.parametrize("command", DRAW, ids=lambda c: c[0])
def test_what_was_found_is_printed_before_it_is_drawn(capsys, tmp_path, monkeypatch, recording, command):
    from matplotlib.figure import Figure

    def full(self, *args, **options):
        raise OSError(28, "No space left on device")

    small = {"simulate": ("--steps", 2, "--trials", 2, "--d", 4), "bounds": ("--steps", 2), "worst-case": ("--n", 1),
             "contraction": ("--d", 4, "--trials", 4)}  # fmt: skip
    arguments = [*(recording if a == "RECORDING" else a for a in command), *small.get(command[0], ())]
    monkeypatch.setattr(Figure, "savefig", full)
    for form in ((), ("--csv",), ("--json",)):
        _, plain, _ = run(capsys, *arguments, *form)
        code, out, err = run(capsys, *arguments, *form, "--plot", tmp_path / "x.png")
        assert (code, "No space left on device" in err) == (2, True)
        assert out == plain != ""
