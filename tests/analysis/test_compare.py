"""Two output folders are compared by what they say, not by which code said it."""

import json

import numpy as np
import pytest

from analysis import compare
from modiff_sim.sweeps import Store

CLAIM = {"id": "a_claim", "verdict": "HOLDS", "measured": 0.25, "statement": "a ≤ b"}


@pytest.fixture
def folders(tmp_path):
    """Two runs with the same results, by different code."""
    for name in ("before", "after"):
        store = Store(tmp_path / name / "results")
        store.save("sample", {"seed": 0, "source": name}, {"images": np.arange(4.0)}, [{"mean": 1.5}])
        write(tmp_path / name / "results" / "checks.json", {"versions": {"numpy": name}, "claims": [CLAIM]})
        (tmp_path / name / "tables").mkdir()
        (tmp_path / name / "tables" / "t.csv").write_text("a,b\n1,2\n", encoding="utf-8")
        (tmp_path / name / "figures").mkdir()
        np.savez(tmp_path / name / "figures" / "f.npz", x=np.arange(3))
        write(tmp_path / name / "figures" / "f.json", {"seed": 0, "source": name, "versions": {"numpy": name}})
    (tmp_path / "after" / "figures" / "f.npz").write_bytes((tmp_path / "before" / "figures" / "f.npz").read_bytes())
    return tmp_path / "before", tmp_path / "after"


def write(path, value):
    path.write_text(json.dumps(value), encoding="utf-8")


def test_the_same_results_of_other_code_are_the_same(folders, capsys):
    assert compare.main([*map(str, folders)]) == 0
    assert capsys.readouterr().out == "9 facts compared, no differences\n"


def test_every_kind_of_difference_is_named(folders, capsys):
    _, after = folders
    Store(after / "results").save("sample", {"seed": 1, "source": "after"}, {"images": np.arange(4.0)}, [{"mean": 1.5}])
    write(after / "results" / "checks.json", {"claims": [CLAIM | {"measured": 0.5}]})
    (after / "tables" / "t.csv").write_text("a,b\n1,3\n", encoding="utf-8")
    np.savez(after / "figures" / "f.npz", x=np.arange(4))
    write(after / "figures" / "f.json", {"seed": 1})
    assert compare.main([*map(str, folders)]) == 1
    printed = capsys.readouterr().out
    assert "claim a_claim: measured: 0.25 became 0.5\n" in printed
    assert 'result sample {"seed": 1}: arrays.npz: only in the second folder\n' in printed
    for name in ("table t.csv: ", "figure f: data: ", "figure f: parameters: "):
        assert name in printed
    assert printed.endswith("11 facts compared, 6 differences\n")


def test_other_numbers_of_other_code_in_one_folder_are_found(folders, capsys):
    _, after = folders
    again = {"images": np.arange(4.0) + 1}
    Store(after / "results").save("sample", {"seed": 0, "source": "new"}, again, [{"mean": 1.5}])
    assert compare.main([*map(str, folders)]) == 1
    printed = capsys.readouterr().out
    assert 'result sample {"seed": 0}: arrays.npz: ' in printed
    assert "rows.json" not in printed


def test_what_is_no_output_folder_is_refused(tmp_path, folders, capsys):
    assert compare.main([str(tmp_path / "nowhere"), str(folders[0])]) == 2
    assert "holds no results/, tables/ or figures/" in capsys.readouterr().err
    manifest = next((folders[0] / "results").glob("sample-*")) / "manifest.json"
    manifest.write_text("{", encoding="utf-8")
    assert compare.main([*map(str, folders)]) == 2
    assert "manifest.json cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("figures/f.json", "[1]", "f.json cannot be read (it is not a JSON object)"),
        ("results/checks.json", "{}", "checks.json is not a table of claims"),
        ("results/checks.json", '{"claims": [{"verdict": "HOLDS"}]}', "checks.json is not a table of claims"),
        ("results/SAMPLE/manifest.json", '{"params": {}}', "manifest"),
    ],
)
def test_damaged_files_are_refused_in_a_line(folders, capsys, file, text, said):
    sample = next((folders[0] / "results").glob("sample-*"))
    (folders[0] / file.replace("SAMPLE", sample.name)).write_text(text, encoding="utf-8")
    assert compare.main([*map(str, folders)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_folder_with_an_odd_name_is_refused_in_one_line(tmp_path, capsys):
    assert compare.main([str(tmp_path / "one\nline"), str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("compare: ")
    assert said.count("\n") == 1
