"""Rewrites the known answers of MATH into pairs for two graders to disagree about.

A rewrite has no label: some keep the value, some change it, and where the graders disagree a
person reads the mathematics. The pairs are the same in every run.
"""

import re
from collections.abc import Callable
from fractions import Fraction

from grading_sets import DATA, Case, read_rows

REWRITES: dict[str, Callable[[str], str]] = {
    "no spaces": lambda gold: gold.replace(" ", ""),
    "full stop": lambda gold: f"{gold}.",
    "in display": lambda gold: rf"\displaystyle {gold}",
    "sized brackets": lambda gold: re.sub(
        r"(?<!\\left)([(\[])(.*)([)\]])", r"\\left\1\2\\right\3", gold
    ),
    "plain brackets": lambda gold: re.sub(r"\\(left|right)\b", "", gold),
    "tfrac": lambda gold: re.sub(r"\\d?frac\b", r"\\tfrac", gold),
    "slash": lambda gold: re.sub(r"\\d?frac\{(\w+)\}\{(\w+)\}", r"\1/\2", gold),
    "plain root": lambda gold: re.sub(r"\\sqrt\{([^{}]*)\}", r"sqrt(\1)", gold),
    "unicode root": lambda gold: re.sub(r"\\sqrt\{(\d+)\}", r"√\1", gold),
    "unicode letters": lambda gold: (
        gold.replace(r"\pi", "π").replace(r"\infty", "∞").replace(r"\cup", "∪").replace("-", "−")
    ),
    "assignment": lambda gold: gold if "=" in gold or "<" in gold else f"x = {gold}",
    "unit": lambda gold: gold if "," in gold else rf"{gold}\text{{ cm}}",
    "in text": lambda gold: rf"\text{{{gold}}}",
    "bold": lambda gold: rf"\mathbf{{{gold}}}",
    "decimal": lambda gold: _as_decimal(gold),
    "three halves": lambda gold: re.sub(
        r"\\frac\{(\d+)\}\{(\d+)\}",
        lambda found: rf"\frac{{{3 * int(found[1])}}}{{{3 * int(found[2])}}}",
        gold,
    ),
    "swapped sum": lambda gold: re.sub(r"^(\w+) ?\+ ?(\w+|\w*\\sqrt\{\w+\})$", r"\2+\1", gold),
    "swapped list": lambda gold: (
        gold if re.search(r"[(\[{]", gold) else ", ".join(reversed(gold.split(",")))
    ),
    "braces": lambda gold: rf"\{{{gold}\}}" if "," in gold else gold,
    "rounded": lambda gold: _as_decimal(gold)[:4],
    "negated": lambda gold: f"-{gold}",
    "next digit": lambda gold: re.sub(
        r"\d(?=\D*$)", lambda found: str((int(found[0]) + 1) % 10), gold
    ),
    "first part": lambda gold: re.sub(r"^(\\left|[(\[{ ]|\\\{)+", "", gold.split(",")[0]),
    "other brackets": lambda gold: gold.replace("(", "[").replace(")", "]"),
    "twice": lambda gold: f"{gold}, {gold}",
    "percent": lambda gold: gold if re.search(r"[,_%=]|text", gold) else rf"{gold}\%",
    "power": lambda gold: f"{gold}^2",
}


def rewritten_golds(subset: int = 7) -> list[Case]:
    """Pair the answers of the MATH training set with rewrites of themselves.

    Args:
        subset: Take one answer of so many that are not plain integers.

    Returns:
        Cases whose ``name`` is the rewrite; ``expected`` says nothing.
    """
    golds = dict.fromkeys(row["answer"] for row in read_rows(DATA / "math_train.jsonl"))
    telling = [gold for gold in golds if not re.fullmatch(r"-?\d+", gold) and len(gold) < 120]
    cases = []
    for gold in telling[::subset]:
        for name, rewrite in REWRITES.items():
            if (text := rewrite(gold)) not in ("", gold):
                cases.append(Case(name, gold, text, True))
    return cases


def _as_decimal(gold: str) -> str:
    found = re.fullmatch(r"(-?)\\d?frac\{(\d+)\}\{([1-9]\d*)\}", gold)
    if found is None:
        return gold
    value = float(Fraction(int(found[2]), int(found[3])))
    return f"{found[1]}{value:.10f}".rstrip("0")
