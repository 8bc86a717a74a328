"""Controls of the contraction claims: formulas too small or too large, and grids that are not what they say."""

from dataclasses import dataclass

import numpy as np

import modiff_sim as ms
from modiff_sim import Verdict
from modiff_sim.quantizers.closed_form import sup_c, sup_kappa

HOLDS, VIOLATED, PREMISE_FAILS = Verdict.HOLDS, Verdict.VIOLATED, Verdict.PREMISE_FAILS


@dataclass(frozen=True, kw_only=True)
class Down(ms.AbsMax):
    """Rounds down: the boundaries are elsewhere and the gap counts whole."""

    def round(self, xp, steps):
        return xp.floor(steps)


@dataclass(frozen=True, kw_only=True)
class DownAway(ms.HalfAway):
    """Floor for round."""

    def round(self, xp, steps):
        return xp.floor(steps)


@dataclass(frozen=True, kw_only=True)
class Widest(ms.MSEClip):
    """Takes the worst of the clipping ratios."""

    def clipped_at(self, xp, blocks, axes, top):
        return top / self.candidates


@dataclass(frozen=True, kw_only=True)
class Reaching(ms.Percentile):
    """Ends at max|x| after all."""

    def clipped_at(self, xp, blocks, axes, top):
        return top


@dataclass(frozen=True, kw_only=True)
class WithZero(ms.MidRise):
    """A zero level where mid-rise has none."""

    def quantize(self, blocks, qparams, *, random=None):
        codes = super().quantize(blocks, qparams)
        return np.where(np.abs(blocks) < qparams.scale / 4, 0.0, codes)


class RoundedUp(ms.MXFP4E2M1):
    """The shared scale rounded up to the next power of two: nothing is clamped, and the grid is twice as coarse."""

    def choose_qparams(self, a):
        qparams = super().choose_qparams(a)
        return ms.QParams(2 * qparams.scale, zero_range=qparams.zero_range)


CONTROLS = [
    ("grid_worst_case_c", {"formula": lambda d, grid, top: sup_c(d, grid, top) / 2}, VIOLATED),
    ("grid_worst_case_c", {"formula": lambda d, grid, top: sup_c(d + 1, grid, top)}, VIOLATED),  # d for d-1
    ("grid_worst_case_c", {"formula": lambda d, grid, top: sup_c(d, [(0.0, h) for _, h in grid], top)}, VIOLATED),
    ("grid_worst_case_c", {"formula_kappa": lambda d, grid, top: 2 * sup_kappa(d, grid, top)}, VIOLATED),
    ("grid_worst_case_c", {"grids": (Down(3),)}, VIOLATED),
    ("float_formats_kappa", {"kappa": {ms.FP8E4M3(): 1 / 32}}, VIOLATED),  # half an ulp of the mantissa: not at 448
    ("float_formats_kappa", {"kappa": {ms.Logarithmic(4): 1 / 2}}, VIOLATED),
    ("float_formats_c", {"limit": {ms.FP8E4M3(): 1 / 290}}, VIOLATED),
    ("float_formats_c", {"limit": {ms.AbsMax(8): 1 / 2}}, VIOLATED),
    ("block_formats", {"kappa": {ms.MXFP4E2M1: 1 / 6}}, VIOLATED),  # what a scale that reaches max|x| would have
    ("block_formats", {"kappa": {RoundedUp: 1 / 4}}, VIOLATED),
    ("block_formats", {"block": 4096}, VIOLATED),  # one scale for all
    ("block_formats", {"largest": 0.1}, VIOLATED),
    ("block_formats", {"size": 2.0**200}, PREMISE_FAILS),  # beyond E8M0: all is clamped
    ("block_formats", {"size": 2.0**-200}, PREMISE_FAILS),  # below: all is rounded away
    ("mse_clipping_c", {"quantizer": Widest}, VIOLATED),
    ("mse_clipping_c", {"quantizer": ms.AbsMax}, VIOLATED),  # no worse, and no gain
    ("mse_clipping_c", {"quantizer": ms.Percentile}, VIOLATED),
    ("percentile_not_contractive", {"quantizer": Reaching}, VIOLATED),
    ("percentile_not_contractive", {"quantizer": ms.AbsMax}, VIOLATED),
    ("percentile_not_contractive", {"dims": (99,)}, PREMISE_FAILS),
    ("clipping_kappa", {"quantizer": ms.AbsMax}, VIOLATED),
    ("half_away_same_worst_case", {"quantizers": (DownAway,)}, VIOLATED),
    ("mid_rise", {"quantizer": WithZero}, VIOLATED),
    ("mid_rise", {"quantizer": ms.AbsMax}, VIOLATED),
    ("floor_worst_case_c", {"formula": lambda d, N: 2 * d / N**2}, VIOLATED),  # an upper bound that no input attains
    ("floor_worst_case_c", {"formula": lambda d, N: 2 * (d - 1) / (N**2 + 1)}, VIOLATED),  # one of the two ends only
    ("floor_worst_case_c", {"quantizer": ms.MinMaxRaw}, VIOLATED),
    ("measured_c_table", {"table": {3: (0.21, 0.21, 0.21)}}, VIOLATED),  # as if tails did not matter
    ("measured_c_table", {"quantizer": ms.HalfAway, "table": {3: (0.21, 0.52, 0.84)}}, HOLDS),
]
