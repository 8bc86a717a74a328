"""``verify``: every kind of damage is named, what is none is not, and the check goes on."""

import json
import os

import pytest

from analysis.faults import corruptions
from modiff_sim.sweeps.store import StoreError, canonical, digest_of, write_files
from modiff_sim.sweeps.verification import verify


@pytest.fixture
def whole(tmp_path):
    corruptions.whole(tmp_path)
    return tmp_path


def test_every_damage_is_named_and_nothing_else(tmp_path):
    wrong = [attempt for attempt in corruptions.attempts(0, 0, tmp_path) if not attempt.right]
    assert wrong == []
    assert len(corruptions.damages()) > 88
    assert len(corruptions.harmless()) == 10


def test_a_whole_folder_has_nothing_wrong(whole):
    assert verify(whole) == (len(corruptions.POINTS) + 2, [])


def test_all_that_is_wrong_is_named_at_once(whole):
    """Among damage of all sorts, a FIFO and a manifest that cannot be parsed do not end the check."""
    places = sorted((whole / "store").glob("small-*"))
    (places[0] / "arrays.npz").unlink()
    os.mkfifo(places[0] / "arrays.npz")
    (places[1] / "manifest.json").write_text("[" * 100_000, encoding="utf-8")
    (places[2] / "rows.json").write_text("[]", encoding="utf-8")
    (whole / "table" / "small.csv").write_text("", encoding="utf-8")
    count, problems = verify(whole)
    assert count == 6
    for expected in (
        f"{places[0] / 'arrays.npz'}: not a file", f"{places[1]}: no readable manifest", "its row differs from",
        f"{places[2] / 'rows.json'}: sha256 differs", f"{whole / 'table' / 'small.csv'}: sha256 differs",
    ):  # fmt: skip
        assert any(expected in problem for problem in problems), expected


def test_what_a_check_raises_is_named_and_the_others_are_checked(whole, monkeypatch):
    from modiff_sim.sweeps import verification

    real = verification.verify_one
    first = min((whole / "store").glob("small-*"))

    def fails(path):
        if path == first:
            raise PermissionError("no")
        return real(path)

    monkeypatch.setattr(verification, "verify_one", fails)
    assert verify(whole) == (6, [f"{first}: cannot be checked (PermissionError: no)"])


def test_a_store_behind_a_link_is_checked_once(whole, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("linked")
    (elsewhere / "one").symlink_to(whole / "store")
    (elsewhere / "two").symlink_to(whole / "store")
    (elsewhere / "circle").symlink_to(elsewhere)
    assert verify(elsewhere) == (5, [])


def test_a_manifest_of_files_vouches_for_itself(tmp_path):
    write_files(tmp_path / "t", {"a.txt": "größte"}, {"seed": 1, "manifest_sha256": "old"})
    file = tmp_path / "t" / "manifest.json"
    about = json.loads(file.read_text(encoding="utf-8"))
    own = about.pop("manifest_sha256")
    assert own == digest_of(canonical(about).encode())
    assert about.keys() == {"seed", "kind", "sha256"}
    assert verify(tmp_path) == (1, [])
    file.write_text(json.dumps(about | {"seed": 2, "manifest_sha256": own}), encoding="utf-8")
    assert verify(tmp_path)[1] == [
        f"{tmp_path / 't'}: the manifest was changed: its manifest_sha256 is not that of its content"
    ]
    with pytest.raises(ValueError, match=r"plain names, got '\.\./a'"):
        write_files(tmp_path / "t", {"../a": ""}, {})


def test_a_stopped_sweep_is_said_to_be_one(whole):
    """Arrays whose row was not written yet: the same command writes it."""
    log = whole / "store" / "small.rows.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
    (problem,) = verify(whole)[1]
    assert "arrays without a row in" in problem
    assert "a run was stopped here, or lines are lost; running it again finds or makes them" in problem
    corruptions.whole(whole)
    assert verify(whole) == (6, [])


def test_rows_without_arrays_are_missed_by_what_was_noted_of_them(tmp_path):
    from modiff_sim.sweeps import sweep
    from modiff_sim.sweeps.store import Store

    sweep.run([{"seed": i} for i in range(3)], _row_only, Store(tmp_path), name="x", workers=1)
    assert verify(tmp_path) == (1, [])
    log = tmp_path / "x.rows.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[1:]))
    (problem,) = verify(tmp_path)[1]
    assert "no row of point" in problem
    log.unlink()
    assert len(verify(tmp_path)[1]) == 3


def _row_only(point):
    from modiff_sim.sweeps import sweep

    return sweep.Output({"twice": 2 * point["seed"]})


def test_a_folder_that_is_not_there():
    with pytest.raises(StoreError, match="is not a folder"):
        verify("absent")


def test_versions_that_were_emptied_are_named(whole):
    place = min((whole / "store").glob("small-*"))
    about = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
    for changed in (about | {"versions": {}}, {k: v for k, v in about.items() if k != "versions"}):
        (place / "manifest.json").write_text(json.dumps(changed), encoding="utf-8")
        (problem,) = verify(whole)[1]
        assert "not those of the folder's key" in problem


def test_two_tables_in_one_folder_are_both_vouched_for(tmp_path):
    for name in ("a", "b"):
        write_files(tmp_path, {f"{name}.csv": name}, {"name": name})
    assert verify(tmp_path) == (1, [])
    (tmp_path / "a.csv").write_text("other", encoding="utf-8")
    assert verify(tmp_path)[1] == [f"{tmp_path / 'a.csv'}: sha256 differs from the manifest"]


def test_other_names_and_folders_for_people_are_no_damage(whole):
    result = min((whole / "store").glob("small-*"))
    (whole / "store" / "best").symlink_to(result)
    (whole / "run-0123456789abcdef").mkdir()
    (whole / "run-0123456789abcdef" / "notes").mkdir()
    assert verify(whole) == (6, [])
