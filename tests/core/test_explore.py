"""What the explorer shows: the numbers of ``simulate``, every bound judged, and files that reproduce a view."""

import ast
import dataclasses
import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from readable import defects

import modiff_sim as ms
from modiff_sim.evidence import judge
from modiff_sim.explore import Settings, as_claim, as_figure, evidence, look, view, words
from modiff_sim.explore.saving import drawn
from modiff_sim.plot import style


def loaded(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@given(
    st.sampled_from(["absmax", "minmax", "floor", "stochastic", "zero"]),
    st.integers(2, 8),
    st.sampled_from(["sample", "batch", "group:16"]),
    st.sampled_from(["direct", "open_loop", "closed_loop"]),
    st.sampled_from(["drift", "burst", "geometric", "ar1"]),
    st.sampled_from(["exact", "quantized", 2]),
    st.sampled_from(["never", 4]),
)
def test_a_view_is_the_simulation_beside_its_bounds(quantizer, bits, granularity, recursion, inputs, warmup, refresh):
    """No valid bound of this project is exceeded, errors are those of ``simulate``, and the code gives the same."""
    settings = Settings(quantizer=quantizer, bits=bits, granularity=granularity, recursion=recursion, inputs=inputs,
                        warmup=warmup, refresh=refresh, d=64, steps=9, trials=8)  # fmt: skip
    view = look(settings)
    again = ms.simulate(settings.process, settings.Q, recursion, steps=9, trials=8, warmup=warmup, refresh=refresh)
    assert np.array_equal(view.curves["inf"]["mean"], again.error_inf.mean(axis=1))
    for row in view.verdicts:
        if row["bound"] in ("sharp", "max norm", "Young, corrected"):
            assert row["verdict"] in ("HOLDS", "NOT_RUN", "PREMISE_FAILS"), row
    assert eval(settings.code(), {"Settings": Settings}) == settings
    # errors of burst inputs vanish, and what is declared for the paper's quantizers holds above their smallest scale
    below = getattr(settings.Q, "floor", 0) > 0 and again.error_inf[1:].min() < 1e-6
    for row in view.constants:
        declared = row["declared"]
        if row["largest"] is not None and not (settings.Q.laws.randomised or granularity == "batch" or below):
            assert row["largest"] <= declared * (1 + 1e-9) + 1e-12


@pytest.mark.parametrize("granularity", ["sample", "batch"])
def test_no_bound_is_judged_where_inputs_are_too_small_for_the_quantizer(granularity):
    """The paper's quantizers lose all of an input that is small beside their smallest scale, and promise nothing."""
    settings = Settings(quantizer="floor", bits=8, granularity=granularity, inputs="burst", d=64, steps=9, trials=8)
    rows = {row["bound"]: row for row in look(settings).verdicts}
    assert {row["verdict"] for row in rows.values()} == {"HOLDS"}
    assert re.fullmatch(r"outside the quantizer's domain from call [45] on", rows["max norm"]["premise"])
    if granularity == "sample":
        assert rows["printed (31), sampling order"]["premise"].endswith("outside the quantizer's domain from call 5 on")
    tiny = ms.simulate(ms.processes.random_walk(64, sigma=1e-12), settings.Q, steps=6, trials=8)
    assert "VIOLATED" not in {row["verdict"] for row in view._verdicts(tiny)}
    if granularity == "sample":
        assert {row["verdict"] for row in view._verdicts(tiny)} == {"PREMISE_FAILS"}


def test_the_printed_bound_fails_where_the_theory_says_so():
    """(31) with the paper's index at two entries, where c < 1/2: a counter-example, and not a failed premise."""
    view = look(Settings(bits=2, d=2, inputs="ar1", steps=20))
    found = {row["bound"]: row["verdict"] for row in view.verdicts}
    assert found["printed (31)"] == "VIOLATED"
    assert found["printed (31), sampling order"] == found["sharp"] == found["max norm"] == "HOLDS"
    large = {row["bound"]: row for row in look(Settings(bits=3, d=4096, steps=5, trials=2)).verdicts}
    assert large["printed (31)"]["verdict"] == "PREMISE_FAILS"
    assert "c = 0.991 at 4096 entries per scale" in large["printed (31)"]["premise"]
    assert "printed (31)" not in {r["bound"] for r in look(Settings(refresh=5, d=16, steps=8)).verdicts}


def test_bits_and_constants():
    view = look(Settings(bits=4, d=64, steps=10, rho=0.1), find_worst=True)
    r = view.result
    ratio = r.a_inf.max() / r.d_inf[1:].max()
    assert view.bits == {
        "effective": pytest.approx((32 + 9 * 4) / 10),
        "saved": ms.bounds.bits_saved(4, ratio),
        "ratio": ratio,
    }
    kappa = view.constants[1]
    assert kappa["declared"] == 1 / 14
    assert kappa["measured"] <= kappa["largest"] <= kappa["found"] * (1 + 1e-9)
    assert look(Settings(bits=4, d=64, steps=10, warmup="quantized")).bits["effective"] == 4
    still = look(Settings(rho=0.0, d=16, steps=5))
    assert still.bits["ratio"] == np.inf
    assert np.isnan(still.bits["saved"])


@pytest.mark.parametrize("changed", [{}, {"recursion": "open_loop"}, {"recursion": "direct", "steps": 1},
                                     {"quantizer": "stochastic", "refresh": 5}, {"granularity": "batch"}])  # fmt: skip
def test_a_view_in_words_and_pictures(changed):
    """Every bound is explained, every number is there, and a picture says what it shows."""
    view = look(Settings(**({"d": 16, "steps": 8} | changed)))
    said = words.tables(view)
    for row in view.verdicts:
        line = next(each for each in said.splitlines() if each.startswith(f"| **{row['bound']}**: "))
        assert f"| **{row['verdict']}** |" in line
        assert row["detail"] in line
    assert f"{view.curves['2']['mean'][-1]:.4g} in the 2-norm" in said
    assert "nan" not in said
    alts = re.findall(r'<img src="data:image/png;base64,[^"]{1000,}" alt="([^"]*)"', words.pictures(view))
    assert [("2-norm" in alt, "max norm," in alt) for alt in alts] == [(True, False), (False, True)]


def test_every_choice_of_the_page_is_a_setting():
    for recursion in words.RECURSION.values():
        for warmup in words.WARMUP.values():
            for refresh in words.REFRESH.values():
                assert Settings(recursion=recursion, warmup=warmup, refresh=refresh).code()
    assert set(words.RECURSION.values()) == set(ms.RECURSIONS)
    for granularity in words.GRANULARITY.values():
        look(Settings(granularity=granularity, d=64, steps=3, trials=2))


def test_recorded_layers(tmp_path):
    rng = np.random.default_rng(0)
    walk = np.cumsum(rng.standard_normal((12, 3, 8)), axis=0)
    np.savez(tmp_path / "layers.npz", first=walk, second=2 * walk)
    path = str(tmp_path / "layers.npz")
    one, two = (look(Settings(inputs="recorded", recording=path, layer=name, bits=6)) for name in ("first", "second"))
    assert one.result.a.shape == (12, 3)
    assert np.allclose(two.curves["2"]["mean"], 2 * one.curves["2"]["mean"])
    with pytest.raises(ValueError, match="unknown layer 'third'; known: first, second"):
        look(Settings(inputs="recorded", recording=path, layer="third"))
    with pytest.raises(
        ValueError, match=r"layers\.csv: recordings are \.npz \(one array per layer\) or \.npy \(one layer\)"
    ):
        look(Settings(inputs="recorded", recording="layers.csv"))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"quantizer": "absmx"}, "did you mean 'absmax'"), ({"inputs": "walk"}, "unknown inputs"), ({"rho": -1}, "rho"),
     ({"distribution": "gauss"}, "unknown distribution"), ({"recursion": "closed"}, "did you mean 'closed_loop'")],
)  # fmt: skip
def test_wrong_settings_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        Settings(**wrong)


@pytest.mark.parametrize(("bound", "verdict"), [("max norm", "HOLDS"), ("printed (31)", "VIOLATED")])
def test_a_saved_claim_is_a_claim(bound, verdict, tmp_path):
    """It says what the view said, its control turns it, and it fits into a room of paper_checks."""
    view = look(Settings(bits=2, d=2, inputs="ar1", steps=20))
    module = loaded(as_claim(view, tmp_path / "found_by_me.py", bound))
    assert (module.CLAIM.id, str(module.CLAIM.expected)) == ("found_by_me", verdict)
    assert str(judge(module.CLAIM, module.check()).verdict) == verdict
    (changed, other), = module.CONTROLS  # fmt: skip
    assert judge(module.CLAIM, module.check(**changed)).verdict == other
    assert str(other) != verdict
    text = Path(module.__file__).read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)) == module.CLAIM.statement


def test_a_saved_figure_draws_the_view(tmp_path):
    view = look(Settings(bits=3, d=16, steps=12, trials=4, recursion="open_loop"))
    module = loaded(as_figure(view, tmp_path / "fig_found.py"))
    data = module.data("quick")
    for norm, curves in view.curves.items():
        for name, y in curves.items():
            assert np.array_equal(data[f"{norm} {name}"], y, equal_nan=True)
    with style.applied():
        figure = module.plot(data)
        figure.draw_without_rendering()
        assert defects(figure) == []
    assert module.CAPTION.endswith(".")
    assert set(module.PARAMS) == {"quick", "full"}
    mean = figure.axes[0].get_lines()[0]
    assert mean.get_color() == style.RECURSION["open_loop"].colour


def test_files_are_not_overwritten_and_names_are_checked(tmp_path):
    view = look(Settings(d=8, steps=4, trials=2))
    as_figure(view, tmp_path / "fig_a.py")
    with pytest.raises(ValueError, match="is there already"):
        as_figure(view, tmp_path / "fig_a.py")
    for wrong in ("a b.py", "1.py", "claim.txt"):
        with pytest.raises(ValueError, match=r"a file NAME\.py is wanted"):
            as_claim(view, tmp_path / wrong)
    with pytest.raises(ValueError, match="the bound 'none' does not apply here; those that do: Young"):
        evidence(view.settings, "none")


def test_the_picture_of_every_recursion_can_be_read():
    for recursion in ms.RECURSIONS:
        view = look(dataclasses.replace(Settings(d=16, steps=6, trials=2), recursion=recursion))
        curves = {f"{norm} {name}": y for norm, found in view.curves.items() for name, y in found.items()}
        with style.applied():
            figure = drawn(curves, recursion)
            figure.draw_without_rendering()
            assert defects(figure) == []
