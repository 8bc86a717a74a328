"""Weights as the multiplying kernel reads them."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from .geometry import FOUR, rounded_up
from .machine_code import Processor
from .multiply import TILES, Tile


def best_tile(processor: Processor, channels: int) -> Tile:
    """The tile with the fewest panels' columns to spare, and of those the one with the fewest panels.

    It decides how fast a product is, and none of its bits.

    Examples
    --------
    >>> from modiff_sim.nn.integer.machine_code import PROCESSORS
    >>> from modiff_sim.nn.integer.packing import best_tile
    >>> [best_tile(PROCESSORS[0], channels).vectors * 16 for channels in (256, 96, 3)]
    [64, 48, 16]
    """
    tiles = TILES[processor.dot]
    return min(tiles, key=lambda tile: (rounded_up(channels, tile.vectors * processor.lanes), -tile.vectors))


@dataclass(frozen=True, eq=False)
class Packed:
    """The weights of one layer.

    Parameters
    ----------
    tile : Tile
        Whose vectors are the width of a panel.
    panels : torch.Tensor
        (groups, panels, taps, words, width, 4) int8.
    totals : torch.Tensor
        (groups, panels·width) int64, the sum of the weights of each output channel.
    scales : torch.Tensor
        (groups, panels·width) float32.
    channels : int
        Output channels of a group; those beyond in the last panel are 0.
    largest : int
        The largest |weight| as an integer.
    """

    tile: Tile
    panels: Tensor
    totals: Tensor
    scales: Tensor
    channels: int
    largest: int
    _shares: dict[int, Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, codes: Tensor, scales: Tensor, groups: int, processor: Processor) -> Packed:
        """Pack codes (out, in, kernel positions) with a scale per output channel.

        Examples
        --------
        >>> import torch
        >>> from modiff_sim.nn.integer.machine_code import PROCESSORS
        >>> from modiff_sim.nn.integer.packing import Packed
        >>> packed = Packed.of(torch.ones(40, 6, 9, dtype=torch.int8), torch.ones(40), 1, PROCESSORS[2])
        >>> packed.panels.shape, packed.totals[0, :2].tolist()
        (torch.Size([1, 5, 9, 2, 8, 4]), [54, 54])
        """
        channels, taps = codes.shape[0] // groups, codes.shape[2]
        tile = best_tile(processor, channels)
        width = tile.vectors * processor.lanes
        columns, words = rounded_up(channels, width), rounded_up(codes.shape[1], FOUR) // FOUR
        whole = torch.zeros(groups, columns, taps, words * FOUR, dtype=torch.int8)
        whole[:, :channels, :, : codes.shape[1]] = codes.unflatten(0, (groups, channels)).transpose(2, 3)
        panels = whole.view(groups, columns // width, width, taps, words, FOUR).permute(0, 1, 3, 4, 2, 5).contiguous()
        spread = torch.zeros(groups, columns)
        spread[:, :channels] = scales.view(groups, channels)
        largest = int(codes.to(torch.int16).abs().max())
        return cls(tile, panels, whole.sum((2, 3), dtype=torch.int64), spread, channels, largest)

    def shares(self, offset: int) -> Tensor:
        """(groups, panels·width) int32: what codes that are stored with this offset add to each sum."""
        if offset not in self._shares:
            self._shares[offset] = (offset * self.totals).to(torch.int32)
        return self._shares[offset]

    def reach(self, largest_stored: int) -> int:
        """The largest sum that can come about with stored codes of at most this size."""
        _, _, taps, words, _, four = self.panels.shape
        return taps * words * four * self.largest * largest_stored

    def bytes(self) -> int:
        """Bytes of all tensors."""
        kept = (self.panels, self.totals, self.scales, *self._shares.values())
        return sum(x.numel() * x.element_size() for x in kept)
