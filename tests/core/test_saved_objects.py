"""Objects on disk: the same values come back, and what is damaged, or something else, is refused."""

import json
import math
import os
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from command_line import run
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

import modiff_sim as ms
from modiff_sim.contraction.atlas_rows import Atlas
from modiff_sim.quantizers.granularity import parse
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


def pictured(r):
    """The curves of all pictures of a result, and what is said of those that it does not have."""
    found = []
    for norm in ("2", "inf"):
        for draw in (r.plot.errors, r.plot.ratios):
            axes = Figure().subplots()
            try:
                draw(axes, norm=norm)
            except ValueError as error:
                found.append(str(error))
            else:
                found += [(line.get_label(), line.get_color(), line.get_xydata()) for line in axes.lines]
    return found


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
    np.testing.assert_equal(pictured(back), pictured(r))


@pytest.mark.parametrize("parts", [ms.AbsMax(4), (ms.AbsMax(4), ms.MinMax(4))], ids=["one", "two"])
def test_a_split_comes_back_with_its_bounds(parts, tmp_path):
    r = ms.simulate("random_walk:8", ms.Split(parts, at=(3,)), steps=4, trials=3)
    r.save(tmp_path / "r")
    back = ms.Result.load(tmp_path / "r")
    assert back.params["quantizer"] == r.params["quantizer"]
    np.testing.assert_equal(pictured(back), pictured(r))
    assert len(pictured(back)) > 8  # bounds and ratios among them


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


def test_nothing_else_is_overwritten(tmp_path, monkeypatch):
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
    (tmp_path / "theirs").mkdir()
    np.savez(tmp_path / "theirs" / "arrays.npz", x=np.arange(3))
    with pytest.raises(ValueError, match=r"holds 'arrays.npz' without a manifest, .*: save into another folder"):
        r.save(tmp_path / "theirs")
    with np.load(tmp_path / "theirs" / "arrays.npz") as arrays:
        assert arrays["x"].tolist() == [0, 1, 2]
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(ValueError, match="is the current folder, which cannot be replaced"):
        r.save(".")


def test_the_files_are_plain(tmp_path):
    simulated().save(tmp_path / "r")
    with np.load(tmp_path / "r" / "arrays.npz") as arrays:
        assert set(arrays) == {"error", "error_inf", "d", "d_inf", "a", "a_inf", "c", "kappa"}
    assert {i.date_time for i in zipfile.ZipFile(tmp_path / "r" / "arrays.npz").infolist()} == {(1980, 1, 1, 0, 0, 0)}
    about = json.loads((tmp_path / "r" / "manifest.json").read_text(encoding="utf-8"))
    assert (about["object"], about["about"]["recursion"]) == ("Result", "closed_loop")
    assert about["versions"]["numpy"] == np.__version__


# -- files of another version ------------------------------------------------------------------------------------------


def altered(path, change):
    """Save an object again as another version would have: ``change`` alters its arrays and what is said of it."""
    kind = json.loads((path / "manifest.json").read_text(encoding="utf-8"))["object"]
    arrays, about = saved.load(path, kind)
    change(arrays, about)
    saved.save(path, kind, arrays, about)


def gone(name):
    return lambda arrays, about: arrays.pop(name)


def more(name):
    return lambda arrays, about: arrays.update({name: np.ones(3)})


@pytest.mark.parametrize(
    ("name", "change", "what"),
    [
        ("Result", more("speed"), "its file has 'speed', unknown here"),
        ("Summary", gone("max.a"), "its file lacks 'max.a'"),
        ("Summary", more("mean.speed"), "its file has 'mean.speed', unknown here"),
        ("Atlas", gone("largest"), "its file lacks 'largest'"),
        ("Atlas", more("speed"), "its file has 'speed', unknown here"),
        ("Transfer", gone("held"), "its file lacks 'held'"),
        ("Transfer", gone("layers"), "its file lacks 'layers'"),
        ("Transfer", more("speed"), "its file has 'speed', unknown here"),
    ],
)
def test_arrays_of_another_version_are_refused(name, change, what, tmp_path):
    OBJECTS[name]().save(tmp_path / "kept")
    altered(tmp_path / "kept", change)
    with pytest.raises(StoreError, match=f"this {name} is of another version of modiff-sim: {what}"):
        KINDS[name].load(tmp_path / "kept")


def test_an_atlas_is_read_both_ways(tmp_path):
    """Older files have the texts of granularity objects, and the columns of a file are as they were."""
    rows = ms.atlas.atlas("absmax:3", dims=[64], distributions="normal", trials=4,
                          granularities=["sample", "group:32", ms.PerChannel((0, 1)), "batch"])  # fmt: skip
    rows.save(tmp_path / "kept")
    arrays, _ = saved.load(tmp_path / "kept", "Atlas")
    assert {*arrays} == {*rows[0]}
    objects = [str(parse(text)) for text in arrays["granularity"]]
    assert "PerChannel(axis=(0, 1))" in objects
    altered(tmp_path / "kept", lambda arrays, _: arrays.update({"granularity": np.array(objects)}))
    assert Atlas.load(tmp_path / "kept") == rows
    strange = ["PerTile(size=3)", "PerGroup(size=open)", "a b"]
    altered(tmp_path / "kept", lambda arrays, _: arrays.update({"granularity": np.resize(strange, len(rows))}))
    assert {row["granularity"] for row in Atlas.load(tmp_path / "kept")} == {*strange}  # as they are


def test_histograms_of_another_version_are_refused(tmp_path):
    simulated().summary().save(tmp_path / "kept")
    altered(tmp_path / "kept", lambda arrays, _: arrays.update({"counts.a": arrays["counts.a"][:, 1:]}))
    with pytest.raises(StoreError, match="histograms have 4096 bins here"):
        ms.Summary.load(tmp_path / "kept")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda Q: Q.pop("percentile"), "this Percentile is of another version of modiff-sim: it lacks 'percentile'"),
        (lambda Q: Q.update(rounding="up"), "it has 'rounding', unknown here"),
        (lambda Q: Q["granularity"].update(axis=1), "this PerSample is of another version .* it has 'axis'"),
        (lambda Q: Q.update({"class": "AbsMaximum"}), "'AbsMaximum' is no quantizer or granularity of this version"),
        (lambda Q: Q.update(bits=99), "Percentile as it was saved is refused by this version of modiff-sim: .*99"),
    ],
    ids=["lacks", "has", "granularity", "class", "value"],
)
def test_quantizers_of_another_version_are_refused(change, what, tmp_path):
    ms.simulate("random_walk:8", "percentile:4", steps=4, trials=3).save(tmp_path / "r")
    altered(tmp_path / "r", lambda _, about: change(about["quantizer"]))
    with pytest.raises(StoreError, match=what):
        ms.Result.load(tmp_path / "r")


@pytest.mark.parametrize("keep", ["trials", "summary"])
def test_the_arrays_say_what_was_kept(keep, tmp_path):
    r = simulated(keep=keep)
    r.save(tmp_path / "r")
    altered(tmp_path / "r", lambda _, about: about.pop("keep"))
    back = ms.Result.load(tmp_path / "r")
    np.testing.assert_equal(dict(back.arrays), dict(r.arrays))
    np.testing.assert_equal(back.summary().arrays(), r.summary().arrays())


# -- the old object or the new one -------------------------------------------------------------------------------------


def test_what_cannot_be_kept_leaves_the_old_one(tmp_path):
    old = simulated()
    old.save(tmp_path / "r")

    def draw(rng, trials, steps):
        return rng.standard_normal((steps, trials, 3))

    new = ms.simulate(ms.processes.Process("mine", 3, {"scale": math.inf}, draw), "absmax:4", steps=4, trials=3)
    with pytest.raises(ValueError, match=r"^process_params\.scale is inf, which a manifest cannot hold"):
        new.save(tmp_path / "r")
    np.testing.assert_equal(content(ms.Result.load(tmp_path / "r")), content(old))
    assert [p.name for p in tmp_path.iterdir()] == ["r"]


#: forks of itself save an object over an older one, and are killed before their first, second, ... change of a file
KILLED = """
import os, signal, sys
import numpy as np
from modiff_sim.sweeps import saved
EVENTS = ("os.rename", "os.mkdir", "os.chmod", "os.utime", "os.remove", "os.rmdir", "shutil.rmtree", "tempfile.mkstemp",
          "tempfile.mkdtemp", "fcntl.flock")
path = sys.argv[1] + "/box"
def value():
    return saved.load(path, "Box")[0]["a"][0] if names() else None
def names():
    return sorted(os.listdir(sys.argv[1]))
def save(value):
    saved.save(path, "Box", {"a": np.full(3, float(value))}, {"value": value})
for old in (0, 1):
    for moment in range(1, 1000):
        if old:
            save(1)
        if not (child := os.fork()):
            left = [moment]
            def hook(event, arguments):
                if event in EVENTS:
                    left[0] -= 1
                    if not left[0]:
                        os.kill(os.getpid(), signal.SIGKILL)
            sys.addaudithook(hook)
            save(2)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        aside = "box" not in names()
        try:
            found = value()
        except FileNotFoundError:
            found = None
        print(old, moment, code, found, aside, flush=True)
        save(3)
        assert value() == 3 and "box" in names()
        for place, _, files in os.walk(sys.argv[1]):  # as if it was long ago
            for name in (".", *files):
                os.utime(os.path.join(place, name), (0, 0))
        save(3)
        assert names() == ["box"], names()
        if not old:
            import shutil; shutil.rmtree(path)
        if not code:
            break
"""


def test_a_kill_leaves_the_old_object_or_the_new_one(tmp_path):
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    lines = [line.split() for line in ended.stdout.splitlines()]
    for old, known in (("0", ["None", "2.0"]), ("1", ["1.0", "2.0"])):
        found = [value for first, _, _, value, _ in lines if first == old]
        assert found == sorted(found, key=known.index)  # the old one up to a moment, and then the new one
        assert sorted({*found}) == sorted(known)
    assert {code for *_, code, _, _ in lines} == {"-9", "0"}
    assert any(aside == "True" for first, *_, aside in lines if first == "1")  # killed between the two moves


def test_two_savers_leave_one_object(tmp_path):
    """Threads, since what they do to folders is what processes do; readers find one or the other at any time."""
    saved.save(tmp_path / "box", "Box", {"a": np.zeros(3)}, {"value": 0})

    def save(value):
        for _ in range(20):
            saved.save(tmp_path / "box", "Box", {"a": np.full(3, float(value))}, {"value": value})

    with ThreadPoolExecutor() as pool:
        savers = [pool.submit(save, value) for value in (1, 2)]
        while not all(each.done() for each in savers):
            arrays, about = saved.load(tmp_path / "box", "Box")
            assert arrays["a"].tolist() == [about["value"]] * 3
        for each in savers:
            each.result()
    assert [p.name for p in tmp_path.iterdir()] == ["box"]


@pytest.mark.parametrize("ask", ["save", "load"])
@pytest.mark.parametrize("look", range(1, 13))
def test_an_object_that_goes_aside_after_any_look_at_it(tmp_path, monkeypatch, ask, look):
    """Another saver moves the folder aside just after the first, second, ... time that this one asks for it."""
    box, aside, asked = tmp_path / "box", tmp_path / ".box.replaced-00000000", 0
    saved.save(box, "Box", {"a": np.zeros(3)}, {"value": 0})
    box.chmod(0o700)
    looked = os.stat

    def stat_and_move(path, *args, **kwargs):
        nonlocal asked
        found = looked(path, *args, **kwargs)
        asked += (mine := isinstance(path, str | Path) and Path(path) == box)
        if mine and asked == look:
            os.rename(box, aside)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", stat_and_move)
        if ask == "save":
            saved.save(box, "Box", {"a": np.ones(3)}, {"value": 1})
        else:
            saved.load(box, "Box")
    arrays, about = saved.load(box, "Box")
    assert arrays["a"].tolist() == [about["value"]] * 3 == [float(ask == "save")] * 3
    assert (box if box.exists() else aside).stat().st_mode & 0o777 == 0o700


def test_an_object_that_goes_between_finding_and_looking_is_looked_for_again(tmp_path, monkeypatch):
    """Another saver removes what was aside: it is gone before its identity is asked for the first time."""
    saved.save(tmp_path / "box", "Box", {"a": np.ones(3)}, {"value": 1})
    places = iter([tmp_path / ".box.replaced-00000000", tmp_path / "box"])
    monkeypatch.setattr(saved, "_found", lambda folder: next(places))
    arrays, about = saved.load(tmp_path / "box", "Box")
    assert arrays["a"].tolist() == [1.0] * 3
    assert about == {"value": 1}


def test_a_link_stays_one_and_modes_stay(tmp_path):
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("real")
    for _ in range(2):
        simulated().save(tmp_path / "link")
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "real").stat().st_mode & 0o777 == 0o700
        ms.Result.load(tmp_path / "link")
