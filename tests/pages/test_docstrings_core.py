"""Docstrings of the core's public names: examples that run, and parameters that are all described."""

import importlib
from types import FunctionType

import pytest
from docstrings import run_examples, undescribed

import modiff_sim as ms
from modiff_sim import testing
from modiff_sim.bounds import certificates
from modiff_sim.faces import listed

#: module -> the names that users meet and that are defined there
DOCUMENTED = {
    "modiff_sim.bounds.printed": "printed_open_loop printed_closed_loop",
    "modiff_sim.bounds.sharp": "sharp_open_loop sharp_closed_loop max_norm_open_loop max_norm_closed_loop direct",
    "modiff_sim.bounds.single_step": "theorem_4_3 corollary_a3_bits bits_saved",
    "modiff_sim.bounds.young": "ef21_constants best_constant_beta young_open_loop young_closed_loop",
    "modiff_sim.bounds.stochastic": "stochastic_open_loop stochastic_closed_loop stochastic_open_loop_band "
    "stochastic_closed_loop_band",
    "modiff_sim.bounds.restarts": "refreshed refresh_worst_case refresh_interval refresh_share effective_bits",
    "modiff_sim.bounds.warm_up": "warm_up_error warm_up_ratio feeds_needed static_feeds",
    "modiff_sim.bounds.static": "static_error static_contraction static_direct static_open_loop static_closed_loop",
    "modiff_sim.bounds.overload": "backlog steps_to_drain best_static_scale",
    "modiff_sim.bounds.float_types": "unit_roundoff rounded accumulate",
    "modiff_sim.bounds.drift": "accumulator_drift output_drift steps_until_drift stored_reference with_weight_error",
    "modiff_sim.bounds.growth": "Fit slope calls power_law",
    "modiff_sim.bounds.skipped": "skipped_closed_loop skipped_open_loop",
    "modiff_sim.bounds.products": "error_bound closed_loop_bound open_loop_bound bops_per_mac pays least_ratio "
    "vanishing_tokens state_elements",
    "modiff_sim.bounds.chain": "chain_closed_loop chain_open_loop chain_direct chain_steady_state",
    "modiff_sim.bounds.loop": "small_gain loop_gain_limit loop_growth bits_for_small_gain",
    "modiff_sim.bounds.small_gain_errors": "small_gain_closed_loop small_gain_open_loop small_gain_direct",
    "modiff_sim.bounds.certificates": "Budget Certificate closed_loop open_loop chain_closed_loop chain_open_loop "
    "available",
    "modiff_sim.testing.strategies": "arrays granularities quantizers random_bits sequences integer_sequences",
    "modiff_sim.testing.checks": "check_quantizer check_recursion check_bound hunt",
    "modiff_sim.quantizers": "make",
    "modiff_sim.quantizers.absmax": "AbsMax Stochastic",
    "modiff_sim.quantizers.minmax": "MinMax MinMaxRaw Floor",
    "modiff_sim.quantizers.aligned": "GridAligned",
    "modiff_sim.quantizers.base": "QParams Quantizer",
    "modiff_sim.quantizers.clipping": "Percentile MSEClip",
    "modiff_sim.quantizers.fixed": "Static StaticAffine Zero Identity",
    "modiff_sim.quantizers.custom": "Custom",
    "modiff_sim.quantizers.floats": "Logarithmic FP8E4M3 FP8E5M2",
    "modiff_sim.quantizers.grids": "MidRise HalfAway DeadZone",
    "modiff_sim.quantizers.laws": "Laws LawBroken",
    "modiff_sim.quantizers.microscaling": "MXFP8E4M3 MXFP8E5M2 MXFP6E2M3 MXFP6E3M2 MXFP4E2M1 MXINT8",
    "modiff_sim.quantizers.granularity.base": "Granularity",
    "modiff_sim.quantizers.granularity.axes": "PerBatch PerSample PerChannel PerToken",
    "modiff_sim.quantizers.granularity.runs": "PerGroup",
    "modiff_sim.quantizers.split": "Split",
    "modiff_sim.contraction.measuring": "Measured ratios summary measure",
    "modiff_sim.contraction.norms": "linear_norms conv_matrix conv_norms",
    "modiff_sim.contraction.worst_cases": "WorstCase search",
    "modiff_sim.contraction.atlas_rows": "Atlas",
    "modiff_sim.contraction.atlas": "sample_ratios atlas",
    "modiff_sim.contraction.samples": "trials_for shared_by_samples parts",
    "modiff_sim.shown": "Shown text aligned latex frame",
    "modiff_sim.evidence": "Verdict Claim Evidence judge",
    "modiff_sim.registry": "entries named",
}
#: their signature is an enumeration's or an exception's, not theirs
WITHOUT_PARAMETERS = {"Verdict", "LawBroken"}
NAMES = [(module, name) for module, names in DOCUMENTED.items() for name in names.split()]


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_the_example_runs(module, name):
    if module.endswith("certificates") and not certificates.available():
        pytest.skip("needs PEPit")
    thing = getattr(importlib.import_module(module), name)
    assert thing.__module__ == module, f"{name} is defined in {thing.__module__}"
    run_examples(thing, f"{module}.{name}")


@pytest.mark.parametrize(("module", "name"), [pair for pair in NAMES if pair[1] not in WITHOUT_PARAMETERS])
def test_every_parameter_is_described(module, name):
    thing = getattr(importlib.import_module(module), name)
    missing = undescribed(thing, ("Parameters", "Attributes"))
    assert not missing, f"{module}.{name}: {missing} not in its section Parameters"


ROOMS = {"bounds", "testing", "quantizers", "contraction", "evidence", "cost", "arguments"}


def test_every_public_name_of_these_rooms_is_documented():
    """Those that ``modiff_sim``, ``bounds``, ``testing`` and ``contraction`` list and that are defined here."""
    documented = {getattr(importlib.import_module(module), name) for module, name in NAMES}
    met = 0
    for owner, names in (
        (ms, listed(ms.__file__ + "i")), (ms.bounds, ms.bounds.__all__), (testing, testing.__all__),
        (ms.contraction, ms.contraction.__all__),
    ):  # fmt: skip
        for name in names:
            thing = getattr(owner, name)
            if isinstance(thing, type | FunctionType) and thing.__module__.split(".")[1] in ROOMS:
                met += 1
                assert thing in documented, f"{owner.__name__}.{name}"
    assert met > 100
