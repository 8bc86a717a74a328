"""Formulas in sentences: found, and only they; nothing of their notation is left in what pages show."""

import importlib.util
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

import figures
import paper_checks
from analysis import typeset

#: what no page should show: signs that stand for something that mathematics sets otherwise
SIGNS = re.compile(r"\|\||‖|√|Σ|[²³⁶ⁿᵀ₂ₙ]|\^|_\{|[α-ωâôõΔ]|\bqmax|\b\w_\w\b")
SAID = [
    text
    for claim in (module.CLAIM for module in paper_checks.claims())
    for text in (claim.statement, claim.quote, claim.reading, claim.source)
]
SAID += [text for name in figures.names() for text in (figures.load(name).TITLE, figures.load(name).CAPTION)]


@pytest.mark.parametrize(
    ("text", "tex"),
    [
        ("||x - Q(x)||² ≤ c||x||²", r"\lVert x-Q(x)\rVert^{2}\le c\lVert x\rVert^{2}"),
        ("Σ_{k=t}^{T-1} (2c)^(T-k-1) ||A||", r"\sum_{k=t}^{T-1}(2c)^{T-k-1}\lVert A\rVert"),
        ("‖x‖∞", r"\lVert x\rVert_{\infty}"),
        ("max|a_t - a_(t+1)|", r"\max \lvert a_{t}-a_{t+1}\rvert"),
        ("â_t = x̂ + μ̂'", r"\hat{a}_{t}=\hat{x}+\hat{\mu}^{\prime}"),
        ("E||x||² + E[ε|x]", r"\mathbb{E}\lVert x\rVert^{2}+\mathbb{E}[\varepsilon \mid x]"),
        ("√((1-c)/(1-cⁿ))", r"\sqrt{(1-c)/(1-c^{n})}"),
        ("½ log 2c", r"\frac{1}{2}\log 2c"),
        ("b = 2..8", r"b=2,\dots,8"),
        ("3e-14", r"3\cdot 10^{-14}"),
        ("⌈s/qmax⌉", r"\lceil s/q_{\max}\rceil"),
        ("Σ_t σ_t²", r"\sum_{t}\sigma_{t}^{2}"),
        ("η_t = -L·e_{t-1}", r"\eta_{t}=-L\cdot e_{t-1}"),
        ("K(E_a||b|| + ||a||E_b)", r"K(E_{a}\lVert b\rVert +\lVert a\rVert E_{b})"),
    ],
)
def test_a_formula_is_read(text, tex):
    assert typeset.markdown(f"where {text} holds") == f"where ${tex}$ holds"


@pytest.mark.parametrize(
    "text",
    ["A residual of a U-Net at W8A4, as in (29) and Fig. 1b", "at 24 %, 1.1 M parameters, 8×8 digits: 13.07 → 10.21",
     "b-bit, (a) Lu et al. 2022b, Theorem 4.3's proof, appendix A.3", "python -m x.y --out DIR, conv_in 0.5 [0.4, 0.6]",
     "log-log slopes of max-norm errors, e4m3, AbsMax(2), DPM-Solver++(2M)",
     "6.02 dB, -0.5 to 0.5 in Fréchet distance"],
)  # fmt: skip
def test_prose_is_left_alone(text):
    assert typeset.markdown(text) == text


def test_what_a_formula_ends_at():
    said = "a step s is 7 s per call, of c < 1/2 (36 at 3 bits), for every x: no more. A is n"
    assert [text for text, tex in typeset.parts(said) if tex] == ["s", "7 s", "c < 1/2", "x", "n"]


@given(st.text(alphabet="abEQT xyκρâôΣ√²^_{}()[]|‖/·=≤<→-+±½'∞.,0129\u0302\\$%\n", max_size=40))
def test_whatever_is_said_is_kept(text):
    assert "".join(said for said, _ in typeset.parts(text)) == unicodedata.normalize("NFC", text)


def test_claims_and_captions_are_read_whole():
    left = [(text, SIGNS.findall("".join(said for said, tex in typeset.parts(text) if not tex))) for text in SAID]
    assert not [(text, signs) for text, signs in left if signs], "write these as analysis/formulas.py reads them"
    assert sum(bool(tex) for text in SAID for _, tex in typeset.parts(text)) > 300  # formulas


def test_html_has_mathematics_and_no_tex():
    pytest.importorskip("latex2mathml")
    for text in SAID:
        shown = typeset.in_html(text)
        assert shown.count("<math") == shown.count("</math>") >= any(tex for _, tex in typeset.parts(text))
        assert not re.search(r"[\\{}]|\|\||<merror", re.sub(r"<[^>]*>", "", shown)), text
    assert (
        typeset.in_html('c < 1 & "x" <hr>') == f'{typeset.in_html("c < 1")} &amp; "{typeset.in_html("x")}" &lt;hr&gt;'
    )
    assert "<wbr>" in typeset.in_html("||o-ô|| ≤ ||A|| Σ_k q^(age+1)||d_k||")


def test_without_its_library_a_formula_stays_as_it_is_written(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert typeset.in_html("||x||² < c") == "||x||² &lt; c"
