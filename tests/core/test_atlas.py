"""The atlas: its rows against plain loops, its order declared ≥ searched ≥ measured, its memory, its bad input."""

import re
import tracemalloc

import numpy as np
import pytest
import reference

import modiff_sim as ms
from modiff_sim import QUANTIZERS
from modiff_sim import atlas as module
from modiff_sim.contraction.atlas import BATCH, DISTRIBUTIONS, atlas, parts, sample_ratios, trials_for
from modiff_sim.quantizers import make

EPS = np.finfo(float).eps
KEYS = ["quantizer", "bits", "granularity", "d", "distribution", "norm", "declared", "searched", "mean", "low", "high",
        "largest", "trials"]  # fmt: skip


def test_a_row_is_what_a_plain_loop_says():
    rows = atlas(["absmax"], [3], [17], ["t5"], trials=20, seed=5)
    assert [list(row) for row in rows] == [KEYS, KEYS]
    (x,) = parts("t5", 17, 20, 5)
    c, kappa = [], []
    for row in x.tolist():
        error = reference.sub(row, reference.absmax(row, 3))
        c.append(sum(v * v for v in error) / sum(v * v for v in row))
        kappa.append(max(map(abs, error)) / max(map(abs, row)))
    for row, values in zip(rows, (c, kappa), strict=True):
        assert row["mean"] == pytest.approx(np.mean(values), rel=1e-12)  # 17 squares in another order
        assert row["largest"] == pytest.approx(max(values), rel=1e-12)
        assert row["low"] < row["mean"] < row["high"] < row["largest"]
        assert row["searched"] == pytest.approx(row["declared"], rel=1e-6)
        assert row["trials"] == 20
    assert [row["declared"] for row in rows] == [ms.AbsMax(3).c(17), ms.AbsMax(3).kappa(17)]


def test_measured_searched_and_declared_are_in_order_for_every_quantizer():
    rows = atlas(bits=(3,), dims=(1, 2, 32), trials=16, granularities=("sample", "group", "batch"), search=False)
    assert all(row["searched"] is None for row in rows)
    searched = ["absmax", "dead_zone", "stochastic", "percentile", "mxfp4_e2m1"]  # test_contraction searches them all
    rows += atlas(searched, bits=(3,), dims=(2, 64), trials=2, distributions=["normal"])
    assert {row["quantizer"] for row in rows} == set(QUANTIZERS)
    assert {row["distribution"] for row in rows} == set(DISTRIBUTIONS)
    assert {row["granularity"] for row in rows} == {"sample", "group:32", "batch"}
    for row in rows:
        Q = make(row["quantizer"], row["bits"])
        slack = 64 * EPS * 32
        assert row["low"] <= row["mean"] <= row["high"] <= row["largest"] + EPS
        if Q.laws.randomised:
            assert row["searched"] is None
            if row["norm"] == "kappa":
                assert row["largest"] <= row["declared"] + slack
            continue
        assert row["largest"] <= row["declared"] + slack, row
        if row["searched"] is None:
            continue
        assert row["searched"] <= row["declared"] + slack, row
        if getattr(Q.laws, row["norm"]) == "tight":
            assert row["searched"] >= row["declared"] * (1 - 1e-6)


def test_a_row_does_not_depend_on_the_others():
    few = atlas(["fp8_e4m3", "stochastic"], [4], [64], ["laplace"], ["c"], trials=8, seed=3)
    many = atlas(["absmax", "stochastic", "fp8_e4m3"], [3, 4], [8, 64], ["normal", "laplace"], trials=8, seed=3)
    assert all(row in many for row in few)
    assert few == atlas(["fp8_e4m3", "stochastic"], [4], [64], ["laplace"], ["c"], trials=8, seed=3)
    assert few != atlas(["fp8_e4m3", "stochastic"], [4], [64], ["laplace"], ["c"], trials=8, seed=4)


def test_bits_that_a_format_has_not_and_dimensions_that_a_group_cannot_cut_are_left_out():
    rows = atlas(["zero", "fp8_e5m2", "mid_rise", "absmax"], [1, 2], [33, 64], ["normal"], ["c"], ["group"], trials=2)
    assert [(r["quantizer"], r["bits"], r["d"]) for r in rows] == [
        ("zero", 0, 64), ("fp8_e5m2", 8, 64), ("mid_rise", 1, 64), ("mid_rise", 2, 64), ("absmax", 2, 64)
    ]  # fmt: skip
    assert rows[-1]["declared"] == ms.AbsMax(2).c(32)  # of the entries that share a scale


def test_every_quantizer_has_its_own_granularity_unless_one_is_asked_for():
    rows = atlas(["absmax", "mxfp4_e2m1"], [4], [4096], ["normal"], ["c"], trials=2, search=False)
    assert [row["granularity"] for row in rows] == ["sample", "group:32"]
    assert [row["declared"] for row in rows] == [ms.AbsMax(4).c(4096), ms.MXFP4E2M1().c(32)]
    for asked, block in (("sample", 4096), ("group:64", 64), (ms.PerGroup(128), 128), ("batch", BATCH * 4096)):
        rows = atlas(["mxfp4_e2m1"], [4], [4096], ["normal"], ["c"], [asked], trials=2 * BATCH, search=False)
        assert [row["declared"] for row in rows] == [ms.MXFP4E2M1().c(block)]


FEW = {"bits": [3], "dims": [64], "distributions": ["normal"], "norms": ["c"], "trials": 4}


@pytest.mark.parametrize(
    ("given", "names"),
    [("absmax", ["absmax"]), ("absmax:3", ["absmax"]), (["absmax:3"], ["absmax"]), (ms.AbsMax(3), ["absmax"]),
     (["absmax", ms.AbsMax(3), "absmax:3@sample"], ["absmax"]), ([ms.AbsMax(3), "floor"], ["absmax", "floor"]),
     ({"absmax:3": 1}.keys(), ["absmax"]), (np.array(["absmax", "floor:3"]), ["absmax", "floor"])],
)  # fmt: skip
def test_a_quantizer_is_named_in_any_way(given, names):
    assert atlas(given, **FEW) == atlas(names, **FEW)


def test_single_values_are_taken_where_several_are():
    single = {name: value[0] if isinstance(value, list) else value for name, value in FEW.items()}
    assert atlas("absmax", **single) == atlas(["absmax"], **FEW)
    for shared in ("group:16", ms.PerGroup(16)):
        assert atlas("absmax", granularities=shared, **single) == atlas(["absmax"], granularities=[shared], **FEW)
    assert atlas("absmax", np.arange(2, 4), np.int64(64), "normal", "c", trials=4).where(bits=3) == atlas(
        "absmax", **FEW
    )


def test_what_a_text_or_an_object_says_of_itself_is_kept():
    rows = atlas(["absmax:4@group:16", "absmax@group:32", ms.AbsMax(5, granularity="batch"), "absmax"],
                 granularities=["sample", "token"], **FEW | {"trials": 16})  # fmt: skip
    assert [(row["bits"], row["granularity"]) for row in rows] == [
        (4, "group:16"), (3, "group:32"), (5, "batch"), (3, "sample"), (3, "token"),
    ]  # fmt: skip


def halves(x):
    largest = abs(x).max(axis=1, keepdims=True)
    return np.round(2 * x / largest) / 2 * largest


def test_quantizers_of_your_own_have_rows():
    mine, fixed = ms.Custom(halves, kappa=1 / 4, bits=3), ms.Static(4, scale=0.5)
    rows = atlas([mine, fixed, "absmax"], 3, 64, "normal", trials=4)
    own = rows.where(quantizer=mine)
    assert [row["quantizer"] for row in own] == ["Custom(halves)"] * 2
    assert [(row["norm"], row["declared"], row["searched"]) for row in own] == [("c", 4.0, None), ("kappa", 0.25, None)]
    (x,) = parts("normal", 64, 4, 0)
    assert own.where(norm="kappa")[0]["mean"] == pytest.approx(ms.contraction.ratios(mine, x, norm="kappa").mean())
    assert {row["quantizer"] for row in rows.where(quantizer=fixed)} == {str(fixed)}
    assert all(row["searched"] is not None for row in rows.where(quantizer=[fixed, "absmax"]))
    with pytest.raises(ValueError, match=r"two different quantizers are called Custom\(halves\)"):
        atlas([mine, ms.Custom(halves, kappa=1 / 2, bits=3)], **FEW)
    for wrong in (3, ms.AbsMax, None):
        with pytest.raises(TypeError, match="a quantizer of the atlas must be one such as"):
            atlas([wrong], **FEW)


def test_the_ratio_is_that_of_a_whole_sample_or_of_a_batch():
    x = np.random.default_rng(0).standard_normal((20, 64))
    grouped = ms.AbsMax(3, granularity=ms.PerGroup(32))
    expected = np.sum((x - grouped(x)) ** 2, axis=1) / np.sum(x**2, axis=1)
    assert np.allclose(sample_ratios(grouped, x)["c"], expected, rtol=1e-12)
    for granularity in (ms.PerBatch(), ms.PerChannel(1)):
        Q = ms.AbsMax(3, granularity=granularity)
        whole = [x[:BATCH], x[BATCH : 2 * BATCH]]  # the rest is no whole batch
        expected = [np.abs(v - Q(v)).max() / np.abs(v).max() for v in whole]
        assert np.allclose(sample_ratios(Q, x)["kappa"], expected, rtol=1e-12)
    assert sample_ratios(ms.AbsMax(3), np.zeros((2, 4)))["c"].tolist() == [0, 0]


@pytest.mark.parametrize(
    "text", [*ms.GRANULARITIES, "group:1", "group:4:axis=0", "group:4:axis=-2", "group:1:axis=0", "group:4:axis=1",
             "channel:axis=0", "channel:axis=0,1", "channel:axis=,"],
)  # fmt: skip
def test_samples_share_a_scale_where_one_changes_what_another_becomes(text):
    x = np.random.default_rng(0).standard_normal((8, 32))
    loud = x.copy()
    loud[0] *= 100
    Q = make("absmax", 3, granularity=text)
    assert module.shared_by_samples(Q.granularity, 32) == (not np.array_equal(Q(x)[1:], Q(loud)[1:]))


def test_the_distributions_are_what_they_are_called():
    rng = np.random.default_rng(0)
    drawn = {name: draw(rng, (200, 500)) for name, draw in DISTRIBUTIONS.items()}
    assert all(x.shape == (200, 500) and x.dtype == np.float64 for x in drawn.values())
    variance = {"normal": 1, "laplace": 2, "t5": 5 / 3, "uniform": 1 / 3, "sparse": 0.05}
    for name, expected in variance.items():
        assert drawn[name].var() == pytest.approx(expected, rel=0.1)
    assert np.mean(drawn["sparse"] == 0) == pytest.approx(0.95, abs=0.005)
    assert np.all(drawn["outlier"][:, 0] == 50)
    assert np.abs(drawn["outlier"][:, 1:]).max() < 6
    assert np.abs(drawn["uniform"]).max() <= 1


def test_the_papers_measured_values_come_back():
    """PAPER 2.3, single draws at d = 131072: each lies within the range of ours."""
    printed = {2: (0.94, 0.98, 0.99), 3: (0.21, 0.52, 0.84), 4: (0.038, 0.14, 0.40)}
    for i, distribution in enumerate(("normal", "laplace", "t5")):
        samples = [*parts(distribution, 131072, trials_for(131072, 64), 0)]
        for bits, values in printed.items():
            found = np.concatenate([sample_ratios(ms.AbsMax(bits), x, ["c"])["c"] for x in samples])
            assert found.min() <= values[i] + 0.005
            assert found.max() >= values[i] - 0.005


def test_trials_fall_with_the_dimension_and_memory_stays_bounded():
    assert [trials_for(d, 64) for d in (1, 1024, 2**16, 2**18, 10**6)] == [64, 64, 64, 16, 8]
    assert trials_for(10**6, 2) == 2
    tracemalloc.start()
    rows = atlas(["absmax", "mxfp4_e2m1"], [4], [10**6], ["normal"], ["c"], trials=64, search=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [row["trials"] for row in rows] == [8, 8]
    assert peak < 200 * 2**20
    assert max(x.size for x in parts("normal", 1024, 10**4, 0)) <= module.FLOATS
    assert sum(len(x) for x in parts("normal", 1024, 10**4, 0)) == 10**4


def test_recorded_samples_are_cut_into_runs():
    rng = np.random.default_rng(0)
    recorded = rng.standard_normal((3, 4, 70))
    recorded[1, 2] = 0
    rows = atlas(["absmax"], [3], [32, 70, 71], ["normal"], ["c"], trials=100, recorded=recorded)
    found = {row["d"]: row for row in rows if row["distribution"] == "recorded"}
    assert {d: row["trials"] for d, row in found.items()} == {32: 22, 70: 11}  # 12 samples, one of zeros; 71 do not fit
    flat = recorded.reshape(12, 70)[np.arange(12) != 6]
    runs = np.concatenate([flat[:, :32], flat[:, 32:64]])
    assert found[32]["mean"] == pytest.approx(ms.contraction.ratios(ms.AbsMax(3), runs).mean(), rel=1e-12)
    assert [row["trials"] for row in atlas(["absmax"], [3], [70], [], ["c"], trials=9, recorded=recorded[0])] == [4]
    few = atlas(["absmax"], [3], [32], [], ["c"], trials=5, recorded=recorded)
    assert [row["trials"] for row in few] == [5]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quantizers": ["absmin"]}, "unknown quantizer 'absmin'; known: absmax"),
        ({"distributions": ["cauchy"]}, "unknown distribution 'cauchy'; known: normal"),
        ({"norms": ["two"]}, "unknown norm 'two'; known: c, kappa"),
        ({"granularities": ["row"]}, "unknown granularity 'row'; known: batch"),
        ({"dims": [0]}, "dims must be an int >= 1"),
        ({"dims": []}, "dims >= 1"),
        ({"trials": 1}, "trials must be an int >= 2"),
        ({"quantizers": []}, "needs quantizers"),
        ({"recorded": np.zeros(4)}, r"shape \(n, entries\)"),
        ({"recorded": np.zeros((0, 4))}, r"shape \(n, entries\)"),
        ({"recorded": np.full((2, 4), np.nan)}, "NaN or Inf"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        atlas(**{"quantizers": ["absmax"], "bits": [3], "dims": [4], "trials": 2, **options})


# what has no rows -------------------------------------------------------------------------------------------------

DIVIDE = "the runs of 32 entries that share a scale do not divide d: take another d, or one scale per sample"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"bits": 1}, "nothing to show: absmax:1 at d = 48: AbsMax needs 2 <= bits <= 32, got 1"),
        ({"granularities": "group:32", "bits": 4}, f"nothing to show: absmax:4@group:32 at d = 48: {DIVIDE}"),
        ({"quantizers": "mxint8"}, f"nothing to show: mxint8 at d = 48: {DIVIDE}"),
        ({"granularities": "batch", "bits": 4, "trials": 15}, "and 15 trials are too few: take 16"),
        ({"distributions": [], "recorded": np.ones((3, 8)), "bits": 4}, "fewer than 2 runs of so many entries"),
    ],
    ids=str,
)
def test_an_empty_atlas_is_refused_with_the_reason(options, reason):
    with pytest.raises(ValueError, match=re.escape(reason)):
        atlas(**{"quantizers": "absmax", "dims": 48, "distributions": "normal", "trials": 4} | options)


def test_what_is_left_out_is_said_and_saved(tmp_path):
    wanted = {"quantizers": ["absmax", "minmax", ms.AbsMax(3)], "bits": [1, 4], "dims": [32, 48]}
    how = {"granularities": ["sample", "group:32"], "distributions": "normal", "trials": 4, "search": False}
    found = atlas(**wanted, **how, recorded=np.ones((2, 40)))
    keys = [tuple(row[name] for name in ("quantizer", "bits", "granularity", "d")) for row in found.left_out]
    assert [key for key in keys if key[1] == 1 and key[0] == "absmax"] == [
        ("absmax", 1, scale, d) for scale in ("sample", "group:32") for d in (32, 48)
    ]
    assert {key for key in keys if key[2] == "group:32" and key[3] == 48} == {
        (name, bits, "group:32", 48) for name in ("absmax", "minmax") for bits in (1, 4)
    }
    short = [row for row in found.left_out if row["distribution"] == "recorded"]
    assert {(row["granularity"], row["d"]) for row in short} == {("sample", 48)}
    assert "left out      absmax:1 at d = 32, 48: AbsMax needs 2 <= bits <= 32, got 1; " in repr(found)
    assert "left out" not in repr(found.where(bits=4))
    found.save(tmp_path / "atlas")
    assert module.Atlas.load(tmp_path / "atlas").left_out == found.left_out


@pytest.fixture(scope="module")
def small():
    own = ms.Static(3, scale=0.5)
    return atlas(["absmax", own], bits=4, dims=32, distributions="normal", trials=4, search=False)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"quantizer": "absmx"}, "unknown quantizer 'absmx'; .*; did you mean 'absmax'?"),
        ({"quantizer": ["absmax", "minmx:3"]}, "unknown quantizer 'minmx'; .*; did you mean 'minmax'?"),
        ({"quantizer": 3}, "unknown quantizer 3; known: "),
        ({"norm": "kapa"}, "unknown norm 'kapa'; known: c, kappa; did you mean 'kappa'?"),
        ({"distribution": "norml"}, "unknown distribution 'norml'; .*; did you mean 'normal'?"),
        ({"granularity": "chanel"}, "unknown granularity 'chanel'; .*; did you mean 'channel'?"),
        ({"bits": "4"}, "bits is a number, got '4'"),
        ({"c_below_1": "yes"}, "c_below_1 is True, False or None, got 'yes'"),
    ],
    ids=str,
)
def test_values_that_no_atlas_has_are_refused(small, wanted, said):
    with pytest.raises(ValueError, match=said.replace("?", "[?]")):
        small.where(**wanted)


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        ({"quantizer": "floor"}, 0), ({"quantizer": "absmax:3"}, 0), ({"granularity": "channel"}, 0), ({"d": 33}, 0),
        ({"distribution": ["t5", "recorded"]}, 0), ({"c_below_1": False, "norm": "kappa"}, 0), ({"bits": 3}, 2),
        ({"quantizer": "Static(bits=3, granularity=PerSample(), scale=0.5)"}, 2), ({"quantizer": "absmax:4"}, 2),
    ],
    ids=str,
)  # fmt: skip
def test_values_that_another_atlas_may_have_give_no_rows(small, wanted, rows):
    assert len(small.where(**wanted)) == rows
