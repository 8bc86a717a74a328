"""Files written whole or not at all; what killed writers leave is removed an hour later, and nothing else is."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from modiff_sim.sweeps import files
from modiff_sim.sweeps.files import PART_OF_FILE, is_regular, remove_abandoned, temporary_folder, write_atomic
from modiff_sim.sweeps.store import PART, Store


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def killed(code, *arguments):
    """A process that is killed by SIGKILL at ``die()``."""
    head = "import os, signal, sys\nfrom pathlib import Path\ndef die(*_): os.kill(os.getpid(), signal.SIGKILL)\n"
    ended = subprocess.run([sys.executable, "-c", head + code, *map(str, arguments)], check=False)
    assert ended.returncode == -9


def age(path, seconds=4000.0):
    """As if nothing had changed for so long."""
    for each in (path, *path.rglob("*")):
        os.utime(each, (time.time() - seconds,) * 2, follow_symlinks=False)


def test_a_killed_write_is_removed_by_the_next(tmp_path):
    code = "from modiff_sim.sweeps import files; os.replace = die; files.write_atomic(Path(sys.argv[1]), 'new')"
    for _ in range(2):
        killed(code, tmp_path / "a.txt")
        assert len(names(tmp_path)) == 1  # the second one removed that of the first
        age(tmp_path / names(tmp_path)[0])
    mine = [".a.txt.part-", ".a.txt.part-notes", ".a.txt.abcdefgh", ".b.txt.part-abcdefgh", ".a.txt.part-ABCDEFGH"]
    for name in mine:
        (tmp_path / name).touch()
        age(tmp_path / name)
    write_atomic(tmp_path / "a.txt", "new")
    assert names(tmp_path) == sorted([*mine, "a.txt"])


def test_a_killed_result_is_removed_by_the_next_run(tmp_path):
    code = (
        "from modiff_sim.sweeps import store; os.rename = die\n"
        "store.Store(sys.argv[1]).save('run', {'seed': 0}, {'x': store.np.ones(2)})"
    )
    killed(code, tmp_path)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(PART)
    age(left, 3000)
    Store(tmp_path).clean()
    assert left.exists()  # where locks do nothing, its writer might be alive
    age(left)
    store = Store(tmp_path)
    store.save("run", {"seed": 0}, {"x": np.ones(2)})
    assert names(tmp_path) == [store.path("run", {"seed": 0}).name]


def test_a_living_writer_is_left_alone_where_locks_do_nothing(tmp_path, monkeypatch):
    """On some file systems, or for the processes of other machines."""
    monkeypatch.setattr(files.fcntl, "flock", lambda *_: None)
    with temporary_folder(tmp_path, PART) as work:
        (work / "rows.json").touch()
        age(work)
        (work / "arrays.npz").touch()
        os.utime(work, (0, 0))
        Store(tmp_path).clean()
        assert names(work) == ["arrays.npz", "rows.json"]  # the newest file counts
        age(work)
        Store(tmp_path).clean()
        assert not work.exists()


def test_what_a_living_writer_works_on_is_left(tmp_path, monkeypatch):
    """Within this process, whose locks are as those of others, and for a file as for a folder."""
    monkeypatch.setattr(files, "ABANDONED", -1)
    with temporary_folder(tmp_path, PART) as work:
        (work / "arrays.npz").touch()
        remove_abandoned(tmp_path, PART)
        Store(tmp_path).save("run", {}, {})
        assert names(work) == ["arrays.npz"]
    assert not work.exists()
    real, seen = os.replace, []

    def replace(source, target):
        write_atomic(tmp_path / "b" / "other", "x")
        remove_abandoned(tmp_path / "b", f".file{PART_OF_FILE}")
        seen.append(os.path.basename(source))
        real(source, target)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(files.os, "replace", lambda s, t: replace(s, t) if t.name == "file" else real(s, t))
        write_atomic(tmp_path / "b" / "file", "new")
    assert seen[0].startswith(".file.part-")
    assert names(tmp_path / "b") == ["file", "other"]


def test_a_folder_that_was_taken_for_abandoned_is_made_anew(tmp_path, monkeypatch):
    """Somebody cleans up between its making and its lock."""
    monkeypatch.setattr(files, "ABANDONED", -1)
    real, made = files.tempfile.mkdtemp, []

    def mkdtemp(**options):
        made.append(real(**options))
        if len(made) < 3:
            remove_abandoned(tmp_path, PART)
        return made[-1]

    monkeypatch.setattr(files.tempfile, "mkdtemp", mkdtemp)
    with temporary_folder(tmp_path, PART) as work:
        assert str(work) == made[2]
        assert names(tmp_path) == [work.name]


def test_links_and_fifos_of_such_a_name_harm_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "ABANDONED", -1)
    (tmp_path / "kept").write_text("kept", encoding="utf-8")
    (tmp_path / f"{PART}abcdefgh").symlink_to(tmp_path / "kept")
    os.mkfifo(tmp_path / f"{PART}abcdefg2")
    remove_abandoned(tmp_path, PART)
    assert "kept" in names(tmp_path)
    assert (tmp_path / "kept").read_text(encoding="utf-8") == "kept"


def test_only_what_can_be_read_to_its_end_is_regular(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "broken").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "fifo")
    assert [is_regular(tmp_path / n) for n in ("file", "link", "broken", "fifo", ".", "absent", "a\0", "a" * 999)] == [
        True, True, False, False, False, False, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize("place", ["folder", "fifo", ".."])
def test_only_files_are_replaced(tmp_path, place):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    before = names(tmp_path), names(tmp_path.parent)
    with pytest.raises(OSError, match=r"directory|not a regular file"):
        write_atomic(tmp_path / place, "new")
    assert (names(tmp_path), names(tmp_path.parent)) == before
    assert not is_regular(tmp_path / place)


# -- the locale ----------------------------------------

SWEEP = """
import sys
import numpy as np
from modiff_sim.sweeps import sweep
from modiff_sim.sweeps.store import Store
from modiff_sim.sweeps.verification import verify

def compute(point):
    return sweep.Output({"label": "größte, κ"}, {"a": np.zeros(3)})

points = [{"seed": 0, "name": "Größe"}]
rows = sweep.run(points, compute, Store(sys.argv[1] + "/s"), name="x", workers=1)
sweep.table(points, rows, sys.argv[1] + "/t", name="x")
assert Store(sys.argv[1] + "/s").load("x", points[0]).rows == rows
assert verify(sys.argv[1]) == (3, []), verify(sys.argv[1])
"""


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(SWEEP, encoding="utf-8")
    return path


@pytest.mark.parametrize("locale", ["C", "de_DE.ISO-8859-1", "C.UTF-8"])
def test_results_do_not_depend_on_the_locale(program, locale):
    """Written under one locale and read under it; the bytes are those of UTF-8."""
    environment = os.environ | {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    ended = subprocess.run([sys.executable, program, program.parent], env=environment, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "größte, κ".encode() in (program.parent / "s" / "x.rows.jsonl").read_bytes()
    assert "größte, κ".encode() in (program.parent / "t" / "x.csv").read_bytes()


def test_no_text_is_read_in_the_encoding_of_the_locale(program):
    """Whichever locales this machine has: where the encoding is not said, Python says so."""
    strict = ["-X", "warn_default_encoding", "-W", "error::EncodingWarning"]
    ended = subprocess.run([sys.executable, *strict, program, program.parent], capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr
