"""How small the states of the CIFAR-10 U-Net can be kept."""

from modiff_sim import AbsMax, Claim, Evidence, Storage, cost

from ._cost import SHAPES, cifar10

ORDER = 10
LIVE = True  # it only counts
CLAIM = Claim(
    id="state_memory",
    statement=f"{SHAPES}: the states of a compensated run take at most 15.5 MiB per image with 8-bit â and float16 ô, "
    "and 6.2 MiB with ô recomputed (float32: 42.6).",
    source="this project",
    relation="upper",
    topic="practice",
)
LIMITS = {"8-bit â, float16 ô": (15.5, "float16"), "8-bit â, ô recomputed": (6.2, "recompute")}


def check(effort: str = "quick", *, ref_bits: int = 8, batch: int = 8) -> Evidence:
    """Predict the memory of the states for every format of ô."""
    shapes = cifar10()

    def mib(storage: Storage | None) -> float:
        return cost.predict_state_bytes(shapes, storage, batch) / batch / 2**20

    return Evidence(
        claimed=[limit for limit, _ in LIMITS.values()],
        measured=[mib(Storage(AbsMax(ref_bits), o_hat)) for _, o_hat in LIMITS.values()],
        cases=list(LIMITS),
        trivial=mib(None),
        params={"batch": batch},
        note=f"float32 states: {mib(None):.2f} MiB",
    )
