r"""Formulas in plain text, such as ``||x-Q(x)||² ≤ c||x||²``, read from a place of a sentence as TeX.

Claims, captions and messages say their formulas in the signs of a keyboard and of Unicode, which a terminal shows as
they are. Pages show the same sentences set as mathematics (``analysis.typeset``), so that nothing is written twice.
The notation:

    x  â  ρ           one letter, with an accent or without, is a variable; a word is prose, but for ``NAMES``
    x_t  x_{t+1}      an index, and an exponent: x²  x^n  x^(n-1)
    ||x||_∞  |x|      norm and absolute value
    √c  √(2c)  Σ_k    root and sum, of what follows
    2c  q·c  q(1-c)   products; two letters that are multiplied need the dot

>>> read("at most √c", 8)
('\\sqrt{c}', 10)
>>> read("at most √c", 3) is None
True
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

#: words that are part of a formula
NAMES = {
    "max": r"\max ", "min": r"\min ", "log": r"\log ", "ln": r"\ln ", "sup": r"\sup ", "log2": r"\log_{2}",
    "softmax": r"\mathrm{softmax}", "qmax": r"q_{\max}", "emax": r"e_{\max}", "age": r"\mathrm{age}",
}  # fmt: skip
#: those that a space may separate from what they are of
FUNCTIONS = re.compile(r"(?:max|min|log|ln|sup|softmax)\b")
#: those that are a formula where they stand alone
QUANTITIES = frozenset({"qmax", "emax", "log2"})
INDICES = {"new": r"\mathrm{new}", "old": r"\mathrm{old}", "inf": r"\infty", "age": r"\mathrm{age}"}
RELATIONS = {
    "≤": r"\le ", "≥": r"\ge ", "<": "<", ">": ">", "=": "=", "≈": r"\approx ", "→": r"\to ", "←": r"\leftarrow ",
}  # fmt: skip
SUMS = {"+": "+", "-": "-", "±": r"\pm "}
PRODUCTS = {"·": r"\cdot ", "×": r"\times ", "/": "/"}
ACCENTS = {"\u0302": r"\hat{%s}", "\u0303": r"\tilde{%s}", "\u0304": r"\bar{%s}"}
RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹ⁿᵀ⁻", "0123456789nT-", strict=True))
LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))
SIGNS = {"½": r"\frac{1}{2}", "¼": r"\frac{1}{4}", "∞": r"\infty "}
GROUPS = {"(": ")", "[": "]"}
#: opening -> (closing, TeX of both); two bars are tried before one
BARS = {
    "||": ("||", r"\lVert ", r"\rVert "), "‖": ("‖", r"\lVert ", r"\rVert "), "|": ("|", r"\lvert ", r"\rvert "),
    "⌈": ("⌉", r"\lceil ", r"\rceil "), "⌊": ("⌋", r"\lfloor ", r"\rfloor "),
}  # fmt: skip
#: what looks like a formula and is none: (29), (a), Fig. 1b, 4.3's, 2022b, A.3, b-bit, U-Net, W8A4, 1.1 M, -m
PROSE = re.compile(
    r"\(\d+'?\)|(?<!\w)\([a-z]\)|Fig\. \d+\w?|\d[\d.]*'s|\d{4}[a-z]\b|[A-Za-z]\.\w[\w.]*"
    r"|[A-Za-z](?:'s|[-–][A-Za-z]{2}\w*)|[A-Za-z]\d\w*|(?<=\d )[A-Z]\b|(?<!\S)--?[a-z][a-z-]*\b"
)
#: the words "a" and "I", and "A" where a sentence begins
ARTICLE = re.compile(r'[aAI]\s["“]?[^\W\d_]')
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[-+]?\d+)?")
LETTERS = re.compile(r"[A-Za-z]+2?")


def read(text: str, at: int) -> tuple[str, int] | None:
    """Return the TeX of the formula that begins at a place, and its end; None where none begins.

    Text in NFC. Numbers alone are no formula.
    """
    reader = _Reader(text, at)
    tex = reader.attempt(lambda: reader.chain(signs=""))
    return (tex.strip(), reader.at) if tex and reader.means else None


class _Prose(Exception):
    """What follows is no part of a formula."""


class _Reader:
    """Reads a formula: ``at`` moves on, and ``means`` says whether there is more than numbers in it."""

    def __init__(self, text: str, at: int) -> None:
        self.text, self.at, self.means = text, at, False

    @property
    def here(self) -> str:
        """The next character, or nothing at the end."""
        return self.text[self.at : self.at + 1]

    def follows(self, what: str) -> bool:
        return self.text.startswith(what, self.at)

    def take(self, what: str) -> None:
        """Go beyond what must follow."""
        if not self.follows(what):
            raise _Prose
        self.at += len(what)

    def spaces(self) -> bool:
        start = self.at
        while self.here == " ":
            self.at += 1
        return self.at > start

    def attempt(self, reading: Callable[[], str]) -> str | None:
        """Return what is read, or None, and then stay."""
        at, means = self.at, self.means
        try:
            return reading()
        except _Prose:
            self.at, self.means = at, means
            return None

    def chain(self, *, bar: str = "", signs: str = "-±") -> str:
        """Read factors with signs between them, up to ``bar``."""
        tex = self.signed(signs)
        while (more := self.attempt(lambda: self.joined(bar))) is not None:
            tex += more
        return tex

    def signed(self, signs: str) -> str:
        """Read a factor with a sign that touches it, or without."""
        sign = self.here
        if sign and sign in signs and self.text[self.at + 1 : self.at + 2] != " ":
            self.at += 1
            return SUMS[sign] + self.factor()
        return self.factor()

    def joined(self, bar: str) -> str:
        """Read a sign and the factor behind it, or a factor that is multiplied without one."""
        spaced = self.spaces()
        sign = self.here
        if sign in RELATIONS:
            self.at += 1
            self.spaces()
            return RELATIONS[sign] + (self.group() if self.here == "[" else self.signed("-+±"))
        if sign in SUMS or sign in PRODUCTS:
            self.at += 1
            if self.spaces() != spaced and sign == "-":  # a hyphen
                raise _Prose
            return (SUMS | PRODUCTS)[sign] + self.factor()
        if bar and self.follows(bar):
            raise _Prose
        if spaced and not (_is_letter(sign) or sign in "√‖" or self.follows("||") or self.follows("[Σ")):
            raise _Prose
        return self.factor()

    def factor(self) -> str:
        """Read a number, a variable, or what is in brackets or bars, with indices and exponents, or a sum."""
        if PROSE.match(self.text, self.at):
            raise _Prose
        if self.here == "Σ":
            return self.scripts(self.symbol()) + (self.attempt(self.argument) or "")
        return self.scripts(self.base())

    def argument(self) -> str:
        self.spaces()
        return self.factor()

    def base(self) -> str:
        if NUMBER.match(self.text, self.at):
            return self.number()
        for opening, (closing, left, right) in BARS.items():
            if self.follows(opening):
                self.take(opening)
                inside = self.chain(bar=closing)
                self.take(closing)
                self.means = True
                return left + inside + right
        if self.here == "(" or self.follows("[Σ") or (self.here == "[" and self.text[self.at - 1 : self.at] == "E"):
            return self.group()
        if self.here == "√":
            self.at, self.means = self.at + 1, True
            inside = self.group()[1:-1] if self.here == "(" else self.factor()
            return rf"\sqrt{{{inside}}}"
        if self.here in SIGNS and self.here:
            self.at, self.means = self.at + 1, self.means or self.here == "∞"
            return SIGNS[self.text[self.at - 1]]
        return self.letters()

    def number(self) -> str:
        """Read a number, 3e-14 as a power of ten, or a range 2..8."""
        found = NUMBER.match(self.text, self.at)
        assert found is not None
        self.at = found.end()
        tex, _, power = found.group().partition("e")
        if power:
            self.means = True
            return rf"{tex}\cdot 10^{{{int(power)}}}"
        if self.follows("..") and (last := NUMBER.match(self.text, self.at + 2)):
            self.at = last.end()
            return rf"{tex},\dots,{last.group()}"
        return tex

    def group(self) -> str:
        """Read what is in brackets: formulas with commas between them, or a condition behind a bar."""
        opening = self.here
        self.at += 1
        tex = opening + self.chain()
        while (sign := self.here) in (",", "|"):
            self.at += 1
            self.spaces()
            tex += (", " if sign == "," else r"\mid ") + self.chain()
        self.take(GROUPS[opening])
        return tex + GROUPS[opening]

    def letters(self) -> str:
        """Read a variable, or one of ``NAMES``."""
        found = LETTERS.match(self.text, self.at)
        if found and found.group() in NAMES:
            name, function = found.group(), FUNCTIONS.match(self.text, self.at)
            self.at = found.end()
            self.means |= name in QUANTITIES
            return NAMES[name] + ((self.attempt(self.argument) or "") if function else "")
        begins = re.search(r"(?:^|[.:;()] ?)$", self.text[: self.at])
        if ARTICLE.match(self.text, self.at) and (self.here != "A" or begins):
            raise _Prose
        if not _is_letter(self.here) or (found and len(found.group()) > 1):
            raise _Prose
        return self.symbol()

    def symbol(self) -> str:
        """Read one letter with its accents, the sign of a sum, or the E of an expectation."""
        letter, *accents = unicodedata.normalize("NFD", self.here)
        self.at, self.means = self.at + 1, True
        while self.here and self.here in ACCENTS:
            accents.append(self.here)
            self.at += 1
        if letter == "Σ":
            return r"\sum "
        if letter == "E" and (self.here in ("[", "‖") or self.follows("||")):
            return r"\mathbb{E}"
        tex = letter if letter.isascii() else _greek(letter)
        for accent in accents:
            tex = ACCENTS[accent] % tex.strip()
        return tex

    def scripts(self, base: str) -> str:
        """Read indices, exponents and primes."""
        below = above = ""
        while here := self.here:
            if here in "_^":
                at = self.at
                self.at += 1
                script = self.attempt(self.script)
                if script is None:
                    self.at = at
                    break
                below, above = (script, above) if here == "_" else (below, script)
                continue
            if here in RAISED:
                above += RAISED[here]
            elif here in LOWERED:
                below += LOWERED[here]
            elif here == "∞" and base.endswith(r"\rVert "):
                below = r"\infty"
            elif here == "'" and base.endswith("}") and not self.text[self.at + 1 : self.at + 2].isalpha():
                above += r"\prime"
            else:
                break
            self.at += 1
        self.means |= bool(below or above)
        tex = base.strip() if below or above else base
        return tex + (f"_{{{below}}}" if below else "") + (f"^{{{above}}}" if above else "")

    def script(self) -> str:
        """Read an index or exponent: in brackets, or one number, letter or word, perhaps with a minus."""
        if self.here in ("{", "("):
            closing = "}" if self.here == "{" else ")"
            self.at += 1
            tex = self.chain()
            self.take(closing)
            return tex.strip()
        word = LETTERS.match(self.text, self.at)
        if word and word.group() in INDICES:
            self.at = word.end()
            return INDICES[word.group()]
        sign = "-" if self.here == "-" else ""
        self.at += len(sign)
        return sign + (self.symbol() if self.here and self.here in "aAI" else self.base()).strip()


def _is_letter(character: str) -> bool:
    """Whether this can be a variable: a Latin or Greek letter, with an accent or without."""
    letter = unicodedata.normalize("NFD", character)[:1]
    return letter.isalpha() and (letter.isascii() or "GREEK" in unicodedata.name(letter, ""))


def _greek(letter: str) -> str:
    name = unicodedata.name(letter).split()[-1].lower()
    name = {"epsilon": "varepsilon", "lamda": "lambda"}.get(name, name)
    return f"\\{name.capitalize() if letter.isupper() else name} "
