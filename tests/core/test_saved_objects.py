"""Objects on disk: the same values come back, and what is damaged, or something else, is refused."""

import json
import zipfile

import numpy as np
import pytest
from command_line import run
from hypothesis import given
from hypothesis import strategies as st

import modiff_sim as ms
from modiff_sim.contraction.atlas_rows import Atlas
from modiff_sim.sweeps import Store, StoreError, saved
from modiff_sim.transfer import Transfer


def simulated(**options):
    return ms.simulate("random_walk:8", "absmax:4", **({"steps": 4, "trials": 3} | options))


def transfer():
    sizes = {"a": (2, 1, 3), "d": (2, 1, 3), "x": (3, 3), "held": (3, 3), "upstream": (2, 1, 1, 3), "output": (2, 1, 3),
             "impulse": (2, 3, 3), "moved": (2, 1, 2, 3)}  # fmt: skip
    rng = np.random.default_rng(0)
    return Transfer(layers=("conv",), alignment=0.25, **{name: rng.random(size) for name, size in sizes.items()})


OBJECTS = {
    "Result": simulated,
    "Summary": lambda: simulated().summary(),
    "Atlas": lambda: ms.atlas.atlas(["absmax", "stochastic"], [3, 4], [8], ["normal"], trials=4),
    "Transfer": transfer,
}
KINDS = {"Result": ms.Result, "Summary": ms.Summary, "Atlas": Atlas, "Transfer": Transfer}


def content(thing):
    """All that an object consists of, as values that can be compared."""
    if isinstance(thing, ms.Result):
        return dict(thing.arrays), thing.params, thing.tallied and content(thing.tallied)
    if isinstance(thing, ms.Summary):
        return thing.arrays(), thing.params
    return list(thing) if isinstance(thing, Atlas) else thing.arrays()


@pytest.mark.parametrize("name", OBJECTS)
def test_the_same_values_come_back(name, tmp_path, capsys):
    thing = OBJECTS[name]()
    thing.save(tmp_path / "kept")
    back = KINDS[name].load(str(tmp_path / "kept"))
    assert type(back) is type(thing)
    np.testing.assert_equal(content(back), content(thing))
    assert run(capsys, "verify", tmp_path)[0] == 0
    thing.save(tmp_path / "kept")  # an older one is replaced
    KINDS[name].load(tmp_path / "kept")


@given(
    st.sampled_from(list(ms.RECURSIONS)),
    st.sampled_from(["absmax:3", "minmax:4@group:4", "percentile:5", "static:4", "mxfp4_e2m1@group:4", "fp8_e4m3"]),
    st.sampled_from(["never", 2, (1, 3), {2, 3}]),
    st.sampled_from(["trials", "summary"]),
)
def test_any_result_comes_back_with_its_pictures(tmp_path_factory, recursion, Q, refresh, keep):
    folder = tmp_path_factory.mktemp("kept")
    r = ms.simulate("random_walk:8", Q, recursion, steps=4, trials=3, refresh=refresh, keep=keep)
    r.save(folder / "r")
    back = ms.Result.load(folder / "r")
    np.testing.assert_equal(dict(back.arrays), dict(r.arrays))
    assert back.params["quantizer"] == r.params["quantizer"]
    wanted = sorted(refresh) if isinstance(refresh, tuple | set) else refresh
    assert back.params | {"refresh": wanted} == r.params | {"refresh": wanted}
    assert repr(back).partition("calls")[0] == repr(r).partition("calls")[0]
    if keep == "summary":
        np.testing.assert_equal(back.summary().arrays(), r.summary().arrays())


def test_a_quantizer_of_your_own_is_kept_as_text(tmp_path):
    r = ms.simulate("random_walk:8", ms.Custom(lambda x: x / 2, kappa=0.5, c=0.25), steps=4, trials=3)
    r.save(tmp_path / "r")
    back = ms.Result.load(tmp_path / "r")
    np.testing.assert_equal(dict(back.arrays), dict(r.arrays))
    assert back.params["quantizer"] == str(r.params["quantizer"])
    with pytest.raises(ValueError, match=r"the constants of Custom\(.*\) are not known here"):
        back.plot.ratios()


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize("file", ["arrays.npz", "manifest.json"])
@pytest.mark.parametrize("damage", ["gone", "cut", "flipped"])
def test_damaged_files_are_refused(name, file, damage, tmp_path):
    OBJECTS[name]().save(tmp_path / "kept")
    path = tmp_path / "kept" / file
    whole = path.read_bytes()
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    else:
        middle = len(whole) // 2
        path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    with pytest.raises(StoreError, match=f"this is no {name} as it was saved"):
        KINDS[name].load(tmp_path / "kept")


def test_every_byte_of_a_small_object_counts(tmp_path):
    saved.save(tmp_path / "box", "Box", {"a": np.arange(3.0)}, {"size": 3})
    for path in sorted((tmp_path / "box").iterdir()):
        whole = path.read_bytes()
        for place in range(len(whole)):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 32]) + whole[place + 1 :])
            with pytest.raises(StoreError):
                saved.load(tmp_path / "box", "Box")
        path.write_bytes(whole)
    assert saved.load(tmp_path / "box", "Box")[1] == {"size": 3}


def test_other_things_are_refused(tmp_path):
    simulated().save(tmp_path / "r")
    with pytest.raises(StoreError, match="it holds a Result, and not a Summary"):
        ms.Summary.load(tmp_path / "r")
    stored = Store(tmp_path).save("cells", {"seed": 0}, {"a": np.ones(2)})
    with pytest.raises(StoreError, match="it holds the result 'cells' of a store, and not a Result"):
        ms.Result.load(stored.path)
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        ms.Result.load(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="no readable manifest"):
        ms.Result.load(tmp_path / "empty")
    np.savez(tmp_path / "plain.npz", error=np.ones((2, 2)))
    with pytest.raises(StoreError, match="no readable manifest"):
        ms.Result.load(tmp_path / "plain.npz")


def test_nothing_else_is_overwritten(tmp_path):
    r = simulated()
    with pytest.raises(ValueError, match=r"save writes a folder, with the arrays and a manifest: .* without .npz"):
        r.save(tmp_path / "r.npz")
    (tmp_path / "note").write_text("mine", encoding="utf-8")
    with pytest.raises(ValueError, match="is a file"):
        r.save(tmp_path / "note")
    with pytest.raises(ValueError, match="holds other files, such as 'note'"):
        r.save(tmp_path)
    r.summary().save(tmp_path / "kept")
    with pytest.raises(ValueError, match="holds a Summary: save into another folder"):
        r.save(tmp_path / "kept")
    (tmp_path / "kept" / "manifest.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match="holds a manifest that cannot be read"):
        r.save(tmp_path / "kept")
    assert (tmp_path / "note").read_text(encoding="utf-8") == "mine"
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "arrays.npz").write_bytes(b"")  # a save that was killed before its manifest
    r.save(tmp_path / "begun")
    ms.Result.load(tmp_path / "begun")


def test_the_files_are_plain(tmp_path):
    simulated().save(tmp_path / "r")
    with np.load(tmp_path / "r" / "arrays.npz") as arrays:
        assert set(arrays) == {"error", "error_inf", "d", "d_inf", "a", "a_inf", "c", "kappa"}
    assert {i.date_time for i in zipfile.ZipFile(tmp_path / "r" / "arrays.npz").infolist()} == {(1980, 1, 1, 0, 0, 0)}
    about = json.loads((tmp_path / "r" / "manifest.json").read_text(encoding="utf-8"))
    assert (about["object"], about["about"]["recursion"]) == ("Result", "closed_loop")
    assert about["versions"]["numpy"] == np.__version__
