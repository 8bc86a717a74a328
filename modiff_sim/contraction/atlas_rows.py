"""The rows of the contraction atlas as one object: a list of dicts that can be chosen from, framed, drawn and kept."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

import numpy as np

from ..arguments import listed
from ..names import one_of
from ..quantizers import granularity as _granularity
from ..quantizers import parts
from ..quantizers.base import Quantizer
from ..quantizers.granularity import GRANULARITIES, Granularity
from ..shown import Said, Shown, frame, pictures
from .left_out import said
from .measuring import NORMS
from .premises import PREMISES, of_row
from .samples import DISTRIBUTIONS
from .which import label

if TYPE_CHECKING:
    from .pictures import AtlasPlots

Row = dict[str, Any]

#: column -> its type; "searched" is None where nothing was searched
COLUMNS: dict[str, type] = {
    "quantizer": str, "bits": int, "granularity": str, "d": int, "distribution": str, "norm": str, "declared": float,
    "searched": float, "mean": float, "low": float, "high": float, "largest": float, "trials": int,
}  # fmt: skip


class Atlas(Shown, list[Row]):
    """The rows of ``atlas``: a list of dicts with the columns ``COLUMNS``, which it remains in every respect.

    Parameters
    ----------
    rows : iterable of dict, optional
        The rows.
    left_out : iterable of dict, optional
        What was asked for and has no rows.

    Attributes
    ----------
    left_out : list of dict
        What was asked for and has no rows: quantizer, bits, granularity, d, distribution (None: all of them), reason.
        Rows that were chosen by ``where`` or as a slice have none.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> rows = ms.atlas.atlas(["absmax"], bits=[3, 4], dims=[32], distributions=["normal"], trials=8)
    >>> len(rows), rows.where(norm="kappa", bits=4)[0]["declared"] == ms.AbsMax(4).kappa(32)
    (4, True)
    >>> rows.frame().groupby("norm")["declared"].max().round(2).to_dict()
    {'c': 0.46, 'kappa': 0.17}
    """

    def __init__(self, rows: Iterable[Row] = (), *, left_out: Iterable[Row] = ()) -> None:
        list.__init__(self, rows)
        self.left_out = list(left_out)

    @overload
    def __getitem__(self, at: SupportsIndex) -> Row: ...
    @overload
    def __getitem__(self, at: slice) -> Atlas: ...
    def __getitem__(self, at: SupportsIndex | slice) -> Row | Atlas:
        return Atlas(list.__getitem__(self, at)) if isinstance(at, slice) else list.__getitem__(self, at)

    def where(self, **wanted: Any) -> Atlas:
        """The rows whose columns have these values.

        Parameters
        ----------
        **wanted
            Column of ``frame`` -> a value, or several in an array, list, tuple, set, range or other iterable. A
            granularity is an object, such as ``PerSample()``, or its name, such as "sample" or "group:64". A quantizer
            is its name, or text such as "absmax:3" or an object, which also say which bits (and granularity).

        Returns
        -------
        Atlas
            The rows, in their order; none where nothing fits.

        Raises
        ------
        ValueError
            For a column that there is not, and for a value that no atlas has in it, such as an unknown quantizer, norm
            or distribution. The message says which was meant.
        """
        several = []
        for column, values in wanted.items():
            one_of("column of the atlas", column, (*COLUMNS, *PREMISES))
            own = {row[column] for row in self} if COLUMNS.get(column) is str else set()
            several.append([_cells(column, value, own) for value in listed(values)])
        rows = ((row, (row | of_row(row)).items()) for row in self)
        return Atlas(row for row, cells in rows if all(any(cells >= c.items() for c in each) for each in several))

    def _said(self) -> Said:
        facts: dict[str, Any] = {}
        for column in ("quantizer", "bits", "granularity", "d", "distribution", "norm"):
            facts[column] = list(dict.fromkeys(row[column] for row in self)) or "-"
        if self.left_out:
            facts["left out"] = "; ".join(said(self.left_out))
        head = [name for name in COLUMNS if name != "trials"]
        return Said(f"Atlas: {len(self)} rows of c and kappa", facts, head, ([row[k] for k in head] for row in self))

    def columns(self) -> dict[str, np.ndarray]:
        """The columns as arrays; ``searched`` is NaN where nothing was searched."""
        found: dict[str, np.ndarray] = {}
        for name, kind in COLUMNS.items():
            values = [row[name] for row in self]
            found[name] = np.array([np.nan if v is None else v for v in values], kind)
        return found

    def frame(self) -> Any:
        """A pandas DataFrame (extra [plot]), a row per row of the atlas: the table of ``modiff-sim contraction --csv``.

        The columns are those of ``atlas``: "quantizer", "bits", "granularity", "d" (entries of a sample),
        "distribution" and "norm" ("c" or "kappa") say of what; "declared", "searched" (NaN where nothing was), "mean",
        "low" and "high" (a 95 % interval of the mean) and "largest" are ratios of norms, squared for c; "trials" is the
        number of samples, or of batches where samples share scales (``PerBatch``, ``PerChannel``). "c_below_1",
        "c_at_most_half" and "kappa_below_1" say which conditions of the theory the declared constant meets, and are
        missing in the rows of the other norm.
        """
        made = frame({**self.columns(), **{name: [of_row(row)[name] for row in self] for name in PREMISES}})
        return made.astype(dict.fromkeys(PREMISES, "boolean"))

    @property
    def plot(self) -> AtlasPlots:
        """Pictures (extra [plot]): ``c`` and ``kappa`` against bits or dimension, and ``both`` of all rows."""
        found: AtlasPlots = pictures(self, f"{__package__}.pictures", "AtlasPlots")
        return found

    def save(self, path: str | Path) -> None:
        """Write the rows into the folder ``path``, with a manifest (``modiff_sim.sweeps.saved``).

        Raises ValueError where the path is that of something else.
        """
        from ..sweeps import saved

        saved.save(path, "Atlas", self.columns(), {"left_out": self.left_out})

    @classmethod
    def load(cls, path: str | Path) -> Atlas:
        """Read saved rows. Raises FileNotFoundError, and StoreError where they are damaged or something else."""
        from ..sweeps import saved

        arrays, about = saved.load(path, "Atlas")
        saved.same_names("Atlas", "its file", arrays, COLUMNS)
        columns = (arrays[name].tolist() for name in COLUMNS)
        made = (dict(zip(COLUMNS, values, strict=True)) for values in zip(*columns, strict=True))
        rows = cls(made, left_out=about.get("left_out", ()))  # which files of older versions do not have
        for row in rows:
            row["searched"] = None if np.isnan(row["searched"]) else row["searched"]
            row["granularity"] = _shared(row["granularity"])  # files of older versions have the text of the object
        return rows


#: column -> the values that it can have in any atlas, besides quantizers and granularities
CLOSED: dict[str, tuple[str, ...]] = {"distribution": (*DISTRIBUTIONS, "recorded"), "norm": NORMS}


def _cells(column: str, value: Any, own: set[Any]) -> Row:
    """Return which columns of a row have which values where one has this value, or is of this object.

    ``own`` are the values that this atlas has in the column, which may be names of quantizers of one's own.
    """
    if isinstance(value, Quantizer):
        return {column: label(value), "bits": value.bits, "granularity": _shared(value.granularity)}
    if column in ("granularity", "quantizer") and not isinstance(value, str | Granularity):
        one_of(column, value, own)  # which raises
    if column == "granularity":
        return {column: shared if (shared := _shared(value)) in own else _granularity.name(_granularity.parse(shared))}
    if column in CLOSED:
        one_of(column, value, dict.fromkeys([*CLOSED[column], *own]))
    elif COLUMNS.get(column) in (int, float) and isinstance(value, str):
        raise ValueError(f"{column} is a number, got {value!r}")
    elif column in PREMISES and value not in (True, False, None):
        raise ValueError(f"{column} is True, False or None, got {value!r}")
    elif column == "quantizer" and value not in own:
        name, bits, shared = parts(value)
        alone = {} if shared is None else {"granularity": _granularity.name(shared)}
        return {column: name} | ({} if bits is None else {"bits": bits}) | alone
    return {column: value}


def _shared(value: Any) -> Any:
    """Return the text of a granularity, as ``granularity.name`` writes it, of an object or of any of its texts."""
    if isinstance(value, Granularity):
        return _granularity.name(value)
    with suppress(ValueError):
        return _granularity.name(_granularity.parse(value))
    kinds = {kind.__name__: kind for kind in GRANULARITIES.values()}
    with suppress(SyntaxError, ValueError, TypeError, AttributeError, KeyError):  # as in "PerGroup(size=32, axis=-1)"
        call: Any = ast.parse(value, mode="eval").body
        options = {each.arg: ast.literal_eval(each.value) for each in call.keywords}
        return _granularity.name(kinds[call.func.id](*map(ast.literal_eval, call.args), **options))
    return value
