"""Products of two activations in torch models: found in every form, quantized as the core says, nothing left behind."""

import importlib
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from models import shallow, walk
from reference import PAPER
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import _get_current_function_mode_stack
from torch.utils.flop_counter import FlopCounterMode

import modiff_sim as ms
from modiff_sim import Verdict, bilinear
from modiff_sim import recursion as rec
from modiff_sim.bounds import products
from modiff_sim.evidence import judge
from modiff_sim.nn import Attention, modulated
from modiff_sim.nn.attention.quantized import Session, count_products
from modiff_sim.nn.states import RunStates

Q8, EVERY = ms.AbsMax(8), PAPER
ALL8 = Attention(q=Q8, k=Q8, v=Q8, softmax=Q8)
THROUGH = Attention(q=ms.Identity(), k=ms.Identity(), v=ms.Identity(), softmax=ms.Identity(), recursion="direct")


class Heads(nn.Module):
    """Attention on q, k, v as given: ``form`` says how its code is written. A Linear, so that it can be modulated."""

    def __init__(self, form="sdpa", dtype=torch.float64, **options):
        super().__init__()
        self.form, self.options, self.out = form, options, nn.Linear(4, 4, bias=False, dtype=dtype)
        with torch.no_grad():
            self.out.weight.copy_(torch.eye(4))

    def forward(self, q, k, v, mask=None):
        return self.out(getattr(self, self.form)(q, k, v, mask))

    def sdpa(self, q, k, v, mask):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, **self.options)

    def bmm(self, q, k, v, mask):
        return torch.bmm(F.softmax(torch.bmm(q, k.transpose(1, 2)) / math.sqrt(q.shape[-1]), dim=-1), v)

    def operators(self, q, k, v, mask):
        p = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1)
        return F.dropout(p.to(v.dtype), 0.1, training=False) @ v

    def methods(self, q, k, v, mask):
        p = torch.softmax(q.matmul(k.mT) / math.sqrt(q.shape[-1]), -1).contiguous()
        return torch.matmul(input=p, other=v)

    def baddbmm(self, q, k, v, mask):
        rubbish = torch.full((len(q), q.shape[1], k.shape[1]), math.nan, dtype=q.dtype)
        start, beta = (rubbish, 0) if mask is None else (mask, 1)
        scores = torch.baddbmm(start, q, k.mT, beta=beta, alpha=q.shape[-1] ** -0.5)
        return scores.softmax(-1).bmm(v)

    def original(self, q, k, v, mask):
        """As the DDPM code has it: channels first, the softmax transposed and on the right."""
        w = torch.bmm(q, k.permute(0, 2, 1)) * int(q.shape[-1]) ** (-0.5)
        w = F.softmax(w, dim=2).permute(0, 2, 1)
        return torch.bmm(v.permute(0, 2, 1), w).permute(0, 2, 1)


def operands(*lead, queries=5, keys=7, seed=0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(*lead, n, 4, generator=g, dtype=dtype) for n in (queries, keys, keys)]


def steps(n=5, seed=0):
    """Slowly changing q, k, v of 3 samples."""
    now = operands(3, seed=seed)
    for i in range(n):
        yield now
        now = [x + 0.1 * e for x, e in zip(now, operands(3, seed=seed + 1 + i), strict=True)]


def layers_alone(attention, **options):
    """Options of ``modulated`` that leave the layers as they are."""
    return {"activations": ms.Identity(), "attention": attention} | options


def clean(model):
    return not _get_current_function_mode_stack() and not any(
        m._forward_hooks or m._forward_pre_hooks or "forward" in m.__dict__ for m in model.modules()
    )


# -- the same function -------------------------------------------------------------------------------------------------

MASKED_OUT = torch.ones(5, 7, dtype=torch.bool)
MASKED_OUT[2] = False


@pytest.mark.parametrize(
    ("options", "mask"),
    [
        ({}, None),
        ({"scale": 0.3}, None),
        ({"is_causal": True}, None),
        ({}, torch.arange(35).reshape(5, 7) % 3 != 0),
        ({}, MASKED_OUT),
        ({}, torch.linspace(-2, 2, 35, dtype=torch.float64).reshape(1, 1, 5, 7)),
        ({}, torch.zeros(5, 7, dtype=torch.float64).masked_fill(~MASKED_OUT, -math.inf)),
        ({"enable_gqa": True}, None),
    ],
)
@pytest.mark.parametrize("quantized", ["qk", "sv", "both"])
def test_taken_apart_it_is_the_same_function(options, mask, quantized):
    q, k, v = operands(2, 4)
    if "enable_gqa" in options:
        k, v = k[:, :2], v[:, :2]
    model = Heads(**options)
    expected = model(q, k, v, mask)
    one = ms.Identity()
    attention = {"qk": Attention(q=one), "sv": Attention(v=one), "both": THROUGH}[quantized]
    with modulated(model, **layers_alone(attention, recursion="direct")) as run:
        out = model(q, k, v, mask)
    assert torch.allclose(out, expected, rtol=0, atol=1e-14)
    assert [x.kind for x in run.audit().layers if x.kind != "Linear"] == [
        r for r in ("qk", "sv") if quantized in (r, "both")
    ]
    with modulated(model, **layers_alone(None, recursion="direct")):
        assert torch.equal(model(q, k, v, mask), expected)


@pytest.mark.parametrize("lead", [(), (3,), (2, 4), (2, 3, 2)])
def test_any_number_of_leading_axes(lead):
    q, k, v = operands(*lead)
    k, v = (k[..., :1, :, :], v[..., :1, :, :]) if len(lead) > 1 else (k, v)  # heads that share keys
    session = Session(model := Heads(), THROUGH, rec.Scheme("direct"), states=RunStates(0))
    expected = model(q, k, v)
    session.enter()
    out = model(q, k, v)
    session.close()
    assert out.shape == expected.shape
    assert torch.allclose(out, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_short_floats_and_autocast(dtype):
    """The products are formed in float32 and returned in the type that torch would have given."""
    model, inputs = Heads(dtype=torch.float32), operands(2, 4, dtype=torch.float32)
    exact = model(*inputs)
    short = Heads(dtype=dtype)
    with torch.no_grad(), modulated(short, **layers_alone(THROUGH, recursion="direct")):
        out = short(*(x.to(dtype) for x in inputs))
    assert out.dtype == dtype
    # operands, output and the Linear behind it round to the short type: numbers below 4
    assert torch.allclose(out.float(), exact, rtol=0, atol=8 * 4 * torch.finfo(dtype).eps)
    with torch.autocast("cpu", dtype=dtype), modulated(model, **layers_alone(ALL8)) as run:
        for inputs in steps(3):
            out = model(*(x.float() for x in inputs))
    assert out.dtype == dtype
    states = run.audit().layers
    assert {x.kind for x in states} == {"Linear", "qk", "sv"}


# -- the arithmetic is the core's --------------------------------------------------------------------------------------


@pytest.mark.parametrize("recursion", EVERY)
@pytest.mark.parametrize("warmup", ["exact", "quantized", 3])
@pytest.mark.parametrize("refresh", ["never", 3])
def test_equals_the_core_bit_for_bit(recursion, warmup, refresh):
    attention = Attention(q=ms.AbsMax(4), k=ms.MinMax(5), v=ms.AbsMax(3), softmax=ms.MinMax(4))
    options = {"recursion": recursion, "warmup": warmup, "refresh": refresh}
    inputs = list(steps(6))
    scores = bilinear.run(
        inputs=[(q, k) for q, k, _ in inputs], Q=(attention.q, attention.k), product=lambda q, k: q @ k.mT, **options
    )
    softmax = [torch.softmax(info.output * 0.5, -1) for _, info in scores]
    out = bilinear.run(
        inputs=zip(softmax, [v for _, _, v in inputs], strict=True), Q=(attention.softmax, attention.v), **options
    )
    for form in ("sdpa", "baddbmm"):
        model = Heads(form)
        model.out = nn.Identity()
        session = Session(model, attention, rec.Scheme(**options), states=RunStates(0))
        out = list(out)
        for given, (_, expected) in zip(inputs, out, strict=True):
            session.enter()
            got = model(*given)
            session.leave()
            assert torch.equal(got, expected.output)
        session.close()


@pytest.mark.parametrize("recursion", EVERY)
def test_however_the_code_is_written(recursion):
    """All forms of one attention give the same numbers, up to the rounding of float64 (no tie is that near)."""
    results = {}
    for form in ("sdpa", "bmm", "operators", "methods", "baddbmm", "original"):
        model = Heads(form)
        with modulated(model, **layers_alone(ALL8, recursion=recursion)) as run:
            results[form] = torch.stack([model(*x) for x in steps()])
        rows = [x for x in run.audit().layers if x.kind != "Linear"]
        names = ["qk", "sv"] if recursion == "direct" else ["qk[q]", "qk[k]", "sv[softmax]", "sv[v]"]
        assert [x.name for x in rows] == [f"(root).{n}" for n in names]
        assert all(x.quantized_macs for x in rows)
    for out in results.values():
        assert torch.allclose(out, results["sdpa"], rtol=0, atol=1e-12)
    plain = torch.stack([Heads()(*x) for x in steps()])
    assert 1e-4 < (results["sdpa"] - plain).abs().max() < 0.1


def test_a_mask_as_the_start_of_baddbmm():
    q, k, v = operands(3)
    mask = torch.linspace(-2, 2, 35, dtype=torch.float64).reshape(1, 5, 7).expand(3, 5, 7)
    out = []
    for form in ("sdpa", "baddbmm"):
        model = Heads(form)
        with modulated(model, **layers_alone(ALL8, recursion="direct")) as run:
            out.append(model(q, k, v, mask))
        assert [x.kind for x in run.audit().layers] == ["Linear", "qk", "sv"]
    assert torch.allclose(*out, rtol=0, atol=1e-14)


def test_one_scale_per_sample_and_head():
    """Whatever is in another head's operands, this head's result is the same."""
    model, (q, k, v) = Heads(), operands(2, 4)
    with modulated(model, **layers_alone(ALL8, recursion="direct")):
        out = model(q, k, v)
        q[0, 1] *= 100
        again = model(q, k, v)
    assert torch.equal(out[1], again[1])
    assert torch.equal(out[0, 0], again[0, 0])
    assert not torch.equal(out[0, 1], again[0, 1])


# -- names, states, counts ---------------------------------------------------------------------------------------------


class Twice(nn.Module):
    """The same attention twice per call, on different inputs."""

    def __init__(self):
        super().__init__()
        self.inner = Heads("bmm")

    def forward(self, q, k, v):
        return self.inner(q, k, v), self.inner(2 * q, k + 1, v - 1)


def test_a_state_per_occurrence():
    """At 0 bits every occurrence repeats its own first output."""
    model, inputs = Twice(), list(steps(3))
    expected = model(*inputs[0])
    nothing = ms.Zero()
    with modulated(model, **layers_alone(Attention(q=nothing, k=nothing, v=nothing, softmax=nothing))) as run:
        for x in inputs:
            for got, first in zip(model(*x), expected, strict=True):
                assert torch.allclose(got, first, rtol=0, atol=1e-14)
    rows = {x.name: x for x in run.audit().layers}
    assert {f"inner.{n}" for n in ("qk[q]", "qk#1[q]", "sv[v]", "sv#1[softmax]")} < set(rows)
    assert rows["inner.qk#1[q]"].macs == 3 * rows["inner.qk#1[q]"].skipped_macs / 2


def test_what_is_counted():
    macs = 3 * 5 * 7 * 4  # of one product
    pair = {"q": ms.AbsMax(4), "k": ms.AbsMax(6)}

    def rows(warmup="exact", recursion="closed_loop", **options):
        model = Heads()
        with modulated(model, **layers_alone(Attention(**pair), warmup=warmup, recursion=recursion, **options)) as run:
            for x in steps(5):
                model(*x)
        return run.audit(), [x for x in run.audit().layers if x.kind == "qk"]

    audit, (q, k) = rows()
    assert (q.macs, q.quantized_macs, q.calls, q.quantized_calls) == (5 * macs, 4 * macs, 5, 4)
    assert (k.macs, k.quantized_macs, k.calls, k.quantized_calls) == (4 * macs, 4 * macs, 4, 4)
    assert q.bops + k.bops == macs * (32 * 32 + 4 * products.bops_per_mac((4, 6), (32, 32)))
    assert audit.product_macs == 5 * macs  # softmax·v
    _, (q, k) = rows(warmup=3)
    assert (q.macs, k.macs, q.calls, k.calls) == (7 * macs, 6 * macs, 5, 5)
    assert q.bops + k.bops == macs * (4 * 6 + 6 * products.bops_per_mac((4, 6), (32, 32)))
    _, (q,) = rows(recursion="direct", refresh=(2,))
    assert (q.activation_bits, q.weight_bits) == (4, 6)
    assert (q.macs, q.quantized_macs) == (5 * macs, 4 * macs)
    assert q.bops == macs * (32 * 32 + 4 * 4 * 6)


@pytest.mark.parametrize("warmup", ["exact", 2])
def test_state_bytes(warmup):
    model = Heads()
    with modulated(model, **layers_alone(ALL8, warmup=warmup)) as run:
        before = run.state_bytes()
        model(*next(steps()))
        held = run.state_bytes() - before - 2 * 8 * 3 * 5 * 4  # the Linear's
        qk, sv = ((3, 5, 4), (3, 7, 4), (3, 5, 7)), ((3, 5, 7), (3, 7, 4), (3, 5, 4))
        assert held == 8 * (products.state_elements(*qk) + products.state_elements(*sv))
        run.reset()
        assert run.state_bytes() == 0


def test_where_and_untouched_products():
    model, inputs = Twice(), next(steps())
    with modulated(model, **layers_alone(Attention(v=Q8, where=lambda name, m: name == "elsewhere"))) as run:
        plain = model(*inputs)
    assert all(torch.equal(a, b) for a, b in zip(plain, Twice()(*inputs), strict=True))
    assert run.audit().product_macs == 4 * 3 * 5 * 7 * 4
    assert len(run.audit().layers) == 1


class Others(nn.Module):
    """Products that are none, and products that cannot be taken apart."""

    def __init__(self):
        super().__init__()
        self.matrix = nn.Parameter(torch.ones(3, 4, 4))
        self.register_buffer("fixed", torch.ones(3, 4, 4))
        self.linear = nn.Linear(4, 4)
        self.torchs = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x):
        y = torch.bmm(x, self.matrix) + x @ self.matrix.transpose(1, 2) + torch.matmul(x, self.fixed[:, :, :4])
        y = y + x[0] @ self.linear(x)[0].mT @ x[0]  # two axes: no batch
        y = y + torch.einsum("nij,nkj,nkl->nil", x, x, x)
        return self.torchs(y, y, y)[0]


def test_what_is_no_product_and_what_cannot_be_taken_apart():
    model, x = Others().eval(), torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model(x)
        with modulated(model, **layers_alone(ALL8, recursion="direct")) as run:
            out = model(x)
    assert torch.allclose(out, expected, rtol=0, atol=1e-4)  # torch's fused path against its plain one
    audit = run.audit()
    assert {x.kind for x in audit.layers} == {"Linear"}
    assert "(root): einsum" in audit.unsupported
    assert "torchs: multi_head_attention_forward" in audit.unsupported


# -- counting alone ----------------------------------------------------------------------------------------------------


def test_an_audit_without_attention_says_what_products_take():
    model = Twice()
    one = 2 * 3 * 5 * 7 * 4
    with modulated(model, activations=ms.Identity(), recursion="direct") as run:
        for x in steps(4):
            model(*x)
        assert run.audit().product_macs == 4 * 2 * one
        model(*(x[:1] for x in next(steps())))  # another batch: in proportion
        assert run.audit().product_macs == 4 * 2 * one + 2 * one // 3
        run.reset()
        with pytest.raises(RuntimeError, match="size"):
            model(*operands(3, keys=7)[:2], operands(3, keys=6)[2])
        assert run.audit().product_macs == 4 * 2 * one + 2 * one // 3
        model(*operands(3, queries=10))
        assert run.audit().product_macs == 6 * 2 * one + 2 * one // 3
        with pytest.raises(RuntimeError, match=r"layer '.*' was reached outside of a call of the Twice"):
            model.inner(*next(steps()))  # one of its modules, from outside the model
    assert clean(model)
    assert "products of two activations in full precision" in str(run.audit())


def test_count_products_by_name_also_without_weights():
    rows = count_products(Twice(), *next(steps()))
    assert [x.name for x in rows] == ["inner.qk", "inner.sv", "inner.qk#1", "inner.sv#1"]
    assert all(x.macs == 3 * 5 * 7 * 4 and x.quantized_macs == 0 for x in rows)
    for form in ("sdpa", "original"):
        model = Heads(form).to("meta")
        rows = count_products(model, *(x.to("meta") for x in next(steps())))
        assert [(x.kind, x.macs) for x in rows] == [("qk", 420), ("sv", 420)]
        assert clean(model)
    with pytest.raises(RuntimeError, match="size"):
        count_products(Heads("bmm"), *operands(3, keys=7)[:2], operands(3, keys=6)[2])
    assert clean(model)


# -- real models -------------------------------------------------------------------------------------------------------


def conditional(seed=0):
    from diffusers import UNet2DConditionModel

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return (
            UNet2DConditionModel(
                sample_size=8,
                in_channels=2,
                out_channels=2,
                layers_per_block=1,
                block_out_channels=(8, 16),
                norm_num_groups=4,
                attention_head_dim=4,
                cross_attention_dim=6,
                down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
                up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            )
            .eval()
            .double()
        )


def transformer(seed=0):
    from diffusers import DiTTransformer2DModel

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return (
            DiTTransformer2DModel(
                num_attention_heads=2,
                attention_head_dim=4,
                in_channels=2,
                out_channels=2,
                num_layers=2,
                sample_size=4,
                patch_size=2,
                num_embeds_ada_norm=10,
                norm_num_groups=2,
            )
            .eval()
            .double()
        )


def arguments(model, x, t=500):
    """What a model is called with besides x."""
    if "Condition" in type(model).__name__:
        text = torch.linspace(-1, 1, len(x) * 5 * 6, dtype=x.dtype).reshape(len(x), 5, 6)
        return {"timestep": t, "encoder_hidden_states": text}
    if "DiT" in type(model).__name__:
        at = torch.full((len(x),), t)
        return {"timestep": at, "class_labels": at % 10}
    return {"timestep": t}


def call(model, x, t):
    return model(x, **arguments(model, x, t)).sample


MODELS = {
    "unet": (lambda: shallow().double(), (1, 8, 8), 2),
    "conditional": (conditional, (2, 8, 8), 2 * 2 * 4),
    "dit": (transformer, (2, 4, 4), 2 * 2),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_of_diffusers(name):
    """Found by name, counted as torch counts them, quantized to 8 bits with a small effect, and given back."""
    make, shape, products = MODELS[name]
    model, inputs = make(), list(walk(3, shape=shape, dtype=torch.float64))
    with torch.inference_mode():
        plain = [call(model, x, 500 - 10 * i) for i, x in enumerate(inputs)]
        # torch does not count its fused CPU kernel; its plain one is two bmm
        counter = FlopCounterMode(display=False)
        with torch.inference_mode(False), torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
            call(model, inputs[0], 500)
        flops = {str(k): v for k, v in counter.get_flop_counts()["Global"].items()}
        counted = count_products(model, inputs[0], **arguments(model, inputs[0]))
        assert 2 * sum(x.macs for x in counted) == flops["aten.bmm"]
        for recursion in EVERY:
            with modulated(model, **layers_alone(ALL8, recursion=recursion)) as run:
                out = [call(model, x, 500 - 10 * i) for i, x in enumerate(inputs)]
            rows = [x for x in run.audit().layers if x.kind in ("qk", "sv")]
            assert len(rows) == products * (1 if recursion == "direct" else 2)
            assert all("attn" in x.name or "attentions" in x.name for x in rows)
            assert run.audit().product_macs == 0
            moved = max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(out, plain, strict=True))
            assert 1e-7 < moved < 0.02
            assert clean(model)
        again = call(model, inputs[0], 500)
        assert torch.equal(again, plain[0])


@pytest.mark.parametrize("recursion", EVERY)
def test_attention_processors_agree(recursion):
    """diffusers' explicit processor batches heads with samples, the fused one does not: same numbers, same names."""
    from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0

    model, out, names = conditional(), {}, {}
    for processor in (AttnProcessor, AttnProcessor2_0):
        model.set_attn_processor(processor())
        with torch.inference_mode(), modulated(model, **layers_alone(ALL8, recursion=recursion)) as run:
            x = walk(3, shape=(2, 8, 8), dtype=torch.float64)
            out[processor] = torch.stack([call(model, v, 500 - 10 * i) for i, v in enumerate(x)])
        names[processor] = [(r.name, r.macs, r.bops) for r in run.audit().layers]
    assert names[AttnProcessor] == names[AttnProcessor2_0]
    # float64 rounding of values of order 1; a code that lies within that of a tie would flip, and none does
    assert torch.allclose(out[AttnProcessor], out[AttnProcessor2_0], rtol=0, atol=1e-10)


def test_keys_of_a_cross_attention_do_not_move():
    model = conditional()
    with torch.inference_mode(), modulated(model, **layers_alone(ALL8)) as run:
        for i, x in enumerate(walk(3, shape=(2, 8, 8), dtype=torch.float64)):
            call(model, x, 500 - 10 * i)
    rows = {x.name: x.row() for x in run.audit().layers}
    assert rows["mid_block.attentions.0.transformer_blocks.0.attn2.qk[k]"]["zero_range_share"] == 1
    assert rows["mid_block.attentions.0.transformer_blocks.0.attn1.qk[k]"]["zero_range_share"] == 0


def test_channels_last():
    model, x = shallow(), next(walk(1, shape=(1, 8, 8), dtype=torch.float32))
    with torch.inference_mode():
        expected = model(x, 5).sample
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
        with modulated(model, **layers_alone(THROUGH, recursion="direct")):
            assert torch.allclose(model(x, 5).sample, expected, rtol=0, atol=1e-5)


# -- on the trained model ----------------------------------------------------------------------------------------------


CHEAPER = [
    ("attention_direct_is_cheaper", {"recursion": "open_loop"}),
    ("attention_direct_is_cheaper", {"direct_bits": 3}),
]


@pytest.mark.parametrize(
    ("name", "broken", "size"),
    [
        ("attention_bits", {"bits": (2, 2)}, (16, 6)),
        *(pytest.param(*case, (24, 10), marks=pytest.mark.slow) for case in CHEAPER),
    ],
)
def test_claims_on_the_trained_model(monkeypatch, name, broken, size):
    """At a small size, measured once; ``python -m paper_checks`` takes more images and steps."""
    from paper_checks.products import _attention

    effort = f"{size} in a test"
    monkeypatch.setitem(_attention.SIZES, effort, size)
    module = importlib.import_module(f"paper_checks.products.{name}")
    assert judge(module.CLAIM, module.check(effort)).verdict == Verdict.HOLDS
    assert judge(module.CLAIM, module.check(effort, **broken)).verdict == Verdict.VIOLATED


@pytest.mark.parametrize(("name", "broken"), CHEAPER)
def test_a_claim_follows_errors_that_are_known(monkeypatch, name, broken):
    """Errors and bit operations as the trained model has them at more steps."""
    module = importlib.import_module(f"paper_checks.products.{name}")
    scatter = np.random.default_rng(0).lognormal(sigma=0.1, size=(8, 24))
    sizes = {"direct": {8: 0.002, 4: 0.03, 3: 0.06}, "closed_loop": {4: 0.02}, "open_loop": {4: 0.2}}

    def errors(effort, *, attention):
        bits, recursion = attention.q.bits, attention.recursion
        row = ("direct", "closed_loop", "open_loop").index(recursion) + bits % 3
        return sizes[recursion][bits] * scatter[row], bits**2 * (1 if recursion == "direct" else 25)

    monkeypatch.setattr(module, "errors", errors)
    assert judge(module.CLAIM, module.check()).verdict == Verdict.HOLDS
    assert judge(module.CLAIM, module.check(**broken)).verdict == Verdict.VIOLATED


# -- failing, and leaving ----------------------------------------------------------------------------------------------


def test_nan_names_product_and_call_and_leaves_the_state():
    model, inputs = Heads(), list(steps(3))
    with modulated(model, **layers_alone(ALL8)):
        expected = [model(*x) for x in inputs]
    for place, operand in ((0, "q"), (1, "k"), (2, "v")):
        bad = [x.clone() for x in inputs[1]]
        bad[place][0, 0, 0] = math.nan
        for recursion in EVERY:
            with (
                modulated(model, **layers_alone(ALL8, recursion=recursion)),
                pytest.raises(ValueError, match=rf"product '\(root\).(qk|sv)', call 0, operand {operand}: the input"),
            ):
                model(*bad)
        with modulated(model, **layers_alone(ALL8)) as run:
            model(*inputs[0])
            before = run.audit()
            with pytest.raises(ValueError, match=rf"product '\(root\).(qk|sv)', call 1, operand {operand}"):
                model(*bad)
            assert run.audit().layers == before.layers
            assert torch.equal(model(*inputs[1]), expected[1])
        assert clean(model)


def test_another_batch_needs_a_reset():
    model = Heads()
    with modulated(model, **layers_alone(ALL8)) as run:
        first = [model(*x) for x in steps(3)]
        with pytest.raises(ValueError, match=r"'\(root\).qk', call 3: operands changed from \(3, 5, 4\) .*run.reset"):
            model(*operands(2))
        run.reset()
        assert all(torch.equal(model(*x), y) for x, y in zip(steps(3), first, strict=True))
    with modulated(model, **layers_alone(ALL8, recursion="direct")):
        model(*operands(3))
        model(*operands(2))  # without state any batch may follow


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
def test_nothing_is_left_behind_after_an_exception(error):
    class Fails(Heads):
        def forward(self, q, k, v):
            super().forward(q, k, v)
            raise error

    model = Fails()
    for attention in (ALL8, None):
        with pytest.raises(error), modulated(model, **layers_alone(attention)):
            model(*operands(3))
        assert clean(model)


def test_in_place_code_does_not_reach_the_state():
    class InPlace(Heads):
        def sdpa(self, q, k, v, mask):
            out = super().sdpa(q, k, v, mask)
            for x in (q, k, v):
                x.mul_(0)
            return out.clamp_(min=0)

    class OutOfPlace(Heads):
        def sdpa(self, q, k, v, mask):
            return super().sdpa(q, k, v, mask).clamp(min=0)

    for recursion in EVERY:
        results = []
        for model in (InPlace(), OutOfPlace()):
            with torch.no_grad(), modulated(model, **layers_alone(ALL8, recursion=recursion)):
                results.append([model(*(x.clone() for x in inputs)) for inputs in steps()])
        assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_stochastic_rounding_is_seeded():
    model, Q = Heads(), ms.Stochastic(3)

    def outputs(seed, stream=0):
        with modulated(model, **layers_alone(Attention(q=Q, k=Q8, v=Q), seed=seed, warmup=2)) as run:
            run.reset(stream=stream)
            return torch.stack([model(*x) for x in steps(3)])

    assert torch.equal(outputs(0), outputs(0))
    assert not torch.equal(outputs(0), outputs(1))
    # outputs(0, stream=1) is exercised in `sample`, which resets with the micro-batch's index
    states = RunStates(0)
    session = Session(model, Attention(q=Q, k=Q), rec.Scheme("direct"), states=states)
    drawn = []
    for stream in (0, 1, 0):
        states.forget()
        states.restart(stream)
        session.enter()
        drawn.append(model(*next(steps())))
        session.leave()
    session.close()
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, ValueError, "quantizes nothing"),
        ({"q": 8}, TypeError, "Attention: q, unless it is None, must be one such as AbsMax"),
        ({"q": Q8, "recursion": "half"}, ValueError, "known: direct"),
        ({"v": Q8, "where": "attn"}, TypeError, "where must be a function"),
    ],
)
def test_bad_arguments(options, error, message):
    with pytest.raises(error, match=message):
        Attention(**options)


def test_refused_calls():
    model = Heads(dropout_p=0.1)
    with modulated(model, **layers_alone(ALL8)), pytest.raises(ValueError, match=r"qk|sv.*dropout_p = 0.1"):
        model(*operands(3))
    model = Heads(is_causal=True)
    with modulated(model, **layers_alone(ALL8)), pytest.raises(ValueError, match="exclude each other"):
        model(*operands(3), torch.ones(5, 7, dtype=torch.bool))
    model = Heads()
    grouped = Attention(q=ms.AbsMax(4, granularity=ms.PerGroup(3)))
    with modulated(model, **layers_alone(grouped)), pytest.raises(ValueError, match=r"product '\(root\).qk': "):
        model(*operands(3))
    with pytest.raises(ValueError, match="warmup"), modulated(model, **layers_alone(ALL8, warmup=0)):
        pass
    assert clean(model)


@pytest.mark.parametrize("entered", [lambda model: model, lambda model: model.forward], ids=["call", "forward"])
def test_products_that_the_model_itself_forms_are_counted_at_every_call(entered):
    """Whether its hooks run or not."""

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x):
            y = self.layer(x)
            return y @ y.mT

    model = Own().requires_grad_(False)
    with modulated(model, activations=ms.AbsMax(8), recursion="direct") as run:
        call = entered(model)
        for calls, batch in enumerate([2, 2, 2, 4], 1):
            call(torch.randn(batch, 3, 4))
            if batch == 4:
                calls += 1
            assert run.audit().product_macs == calls * 2 * 3 * 3 * 4
            if calls == 2:
                run.reset()
