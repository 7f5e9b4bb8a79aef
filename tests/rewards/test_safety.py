r"""Hostile texts get verdicts: the same from everywhere, in little memory, without a hang.

The bank is our own: towers, factorials, deep nesting, floods of every special character and cue,
huge numbers, lists and sums, odd Unicode. Only the whole bank is timed, generously.
"""

import asyncio
import json
import multiprocessing
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

import pytest

from mathrl.rewards import EVAL, REWARD, accuracy_reward, equivalent, grade, grade_many
from mathrl.schema import Score, Status

FLOOD = 100_000
NEST = 3_000
WHOLE_BANK_S = 120.0
MEMORY_BYTES = 3 << 29  # 1.5 GiB
MODULE = Path(__file__)

TOWERS = r"""
9^{9^{9^{9}}}
9**9**9**9
9^9^9^9
10^{10^{10}}
2^{2^{2^{2^{2^{2}}}}}
(((9^9)^9)^9)^9
9^{-9^{9^9}}
2^{10^{18}}
(-2)^{10^{18}}
i^{10^{30}}
1.0000001^{10^{12}}
x^{10^{12}}
(x+1)^{5000}
(x+y+z+w+1)^{300}
((x+1)^{50}+1)^{50}
\left(\frac{1}{3}\right)^{10^{9}}
1e999999999
1e-999999999
1e1e1e1
10^{-10^{9}}
e^{e^{e^{e^{e}}}}
\pi^{\pi^{\pi^{\pi^{\pi}}}}
\sqrt[10^9]{2}
2^{\frac{1}{2^{1000}}}
\sqrt{\sqrt{\sqrt{\sqrt{\sqrt{\sqrt{\sqrt{2^{10^9}}}}}}}}
99999999!
(10^{10})!
9!!!!!!!!
((9!)!)!
\binom{10^9}{5\cdot10^8}
\binom{10^{18}}{10^{17}}
\gcd(2^{9999}, 3^{9999})
\ln(10^{10^{10}})
\sin(10^{10^{10}})
\tan(10^{300})
\Gamma(10^{10})
\sum_{k=1}^{10^{12}} k^{k}
\sum_{k=1}^{10^9}\sum_{j=1}^{10^9}\sum_{i=1}^{10^9} \sin(ijk)
\prod_{k=1}^{10^{9}} (1+\frac1k)
\sum_{k=1}^{\infty} \frac{1}{k^{k^k}}
\int_0^1 \sin(\cos(\tan(x^{99})))^{99} dx
\int_0^{\infty} e^{-x^{x}} dx
\lim_{x\to 0} \frac{\sin(\tan x)-\tan(\sin x)}{\arcsin(\arctan x)-\arctan(\arcsin x)}
\sqrt{1+\sqrt{2+\sqrt{3+\sqrt{5+\sqrt{7+\sqrt{11}}}}}}
\frac{1}{0}
0^0
0^{-1}
\infty-\infty
\frac{\infty}{\infty}
\frac{0}{0}x
\log_1 5
\log_0 0
(1e300,1e-300,9^{9^9})
[9^{9^9},\infty)
\begin{pmatrix}9^{9^9}&1\\1&99999!\end{pmatrix}
x=9^{9^{9^9}}
9^{9^9}\%
9^{9^9}\text{ cm}
9^{9^9}:10^{10^{10}}
99999999999_{99999999}
zzzz_{36}
0.\overline{123456789123456789}
1 \equiv 10^{10^{10}} \pmod{10^{10^{10}}}
x<9^{9^{9}}
\{9^{9^9},9^{9^8}\}
"""
NESTS = {
    "brackets": ("(", ")"),
    "square brackets": ("[", "]"),
    "braces": ("{", "}"),
    "sets": (r"\{", r"\}"),
    "boxes": (r"\boxed{", "}"),
    "fractions": (r"\frac{1}{", "}"),
    "roots": (r"\sqrt{", "}"),
    "powers": ("2^{", "}"),
    "indices": ("x_{", "}"),
    "texts": (r"\text{", "}"),
    "stretched": (r"\left(", r"\right)"),
    "absolute": ("|", "|"),
    "sines": (r"\sin(", ")"),
    "factorials": ("(", ")!"),
    "signs": ("-", ""),
    "tuples": ("(1,", ")"),
    "sums": (r"\sum_{k=1}^{", "} k"),
    "matrices": (r"\begin{pmatrix}", r"\end{pmatrix}"),
    "answers": ("<answer>", "</answer>"),
    "thoughts": ("<think>", "</think>"),
    "dollars": ("$", "$"),
    "bold": ("**", "**"),
}
FLOODS = [
    *"{}[]()<>|$#%&~^_\\/*+-=.,;:!?'\"`@0a9 \n\t\0",
    *(r"\{", r"\}", "####", "####\n", r"\boxed{", r"\boxed{}", r"\boxed{1} ", r"\boxed 1 ", "**"),
    *(
        "<answer>",
        "<answer ",
        "</answer>",
        "<answer>1</answer>",
        "<think>",
        "</think>",
        "Answer: ",
        "Answer: 1\n",
    ),
    *("The answer is ", "the final answer is 1. ", "答案是", r"\(", r"\)", r"\[1\]", "$$", "$1$ "),
    *(r"\frac", r"\frac12", r"\sqrt", r"\left(", r"\right)", r"\begin{cases}", r"\\", r"\text{a}"),
    *("1,", "1, ", "1+", "x+", "x^", "2^", "1/", "1e", "1.", ",000", "1 ", "x=", "1<", "(1,2),"),
    *(
        "1'",
        "\\mathbb R ",
        "k\\in ",
        "integers ",
        "except ",
        "(mod ",
        "< ",
        "< think",
        "]2,3[",
        "°1",
    ),
    *("wait, ", "no, ", " and ", " or ", "1 or ", "½", "²", "√", "−", "\u200b", "\u202e", "\ufeff"),
    *("\u0301", "٣", "Ⅳ", "𝟗", "\U0001f600", "\ud800", "\udfff", "\x1b", "\r", "\u2028", "ﷺ", "㏒"),
]
HUGE = {
    "integer": "7" * FLOOD,
    "space in a tag": "x <" + " \n" * (FLOOD // 2) + "5",
    "minutes": "1" * FLOOD + "'",
    "decimal": "0." + "3" * FLOOD,
    "quotient": f"{'7' * 3_000}/{'3' * 3_000}",
    "fraction": rf"\frac{{{'7' * 3_000}}}{{{'9' * 3_000}}}",
    "exponent": "2^{" + "9" * 3_000 + "}",
    "scientific": "1e" + "9" * 3_000,
    "digits of the limit": "8" * 4_301,
    "base": "1" * 3_000 + "_2",
    "list": ",".join(map(str, range(1_500))),
    "list of letters": ",".join(f"x_{{{index}}}" for index in range(800)),
    "tuple": f"({','.join(map(str, range(1_500)))})",
    "set": rf"\{{{','.join(map(str, range(1_500)))}\}}",
    "set of roots": rf"\{{{','.join(rf'sqrt{{{index}}}' for index in range(600))}\}}",
    "sum": "+".join(f"x^{{{index}}}" for index in range(700)),
    "sum of roots": "+".join(rf"\sqrt{{{index}}}" for index in range(2, 500)),
    "product": "".join(f"(x+{index})" for index in range(1, 700)),
    "product of letters": "".join(f"(a_{{{index}}}+1)" for index in range(1, 400)),
    "alternatives": r" \pm ".join(str(index) for index in range(1, 60)),
    "chain": "<".join(map(str, range(1_500))),
    "equations": "=".join(["x"] * 2_000),
    "union": r"\cup".join(f"({index},{index + 1})" for index in range(400)),
    "matrix": rf"\begin{{pmatrix}}{'&'.join('1' * 900)}\end{{pmatrix}}",
    "rows": r"\begin{pmatrix}" + r"1\\" * 1_000 + r"1\end{pmatrix}",
    "word": "a" * FLOOD,
    "words": "lorem ipsum " * 8_000,
    "mixed": "".join(chr(33 + 7 * index % 90) for index in range(7_000)),
    "planes": "".join(chr(index) for index in range(0, 0x11000, 31)),
    "continued": "1+" + r"\frac{1}{1+" * 300 + "1" + "}" * 300,
    "binomials": r"\binom{99}{49}" * 200,
    "half a pair": "\ud83d\\boxed{7\ude00}",
    "nothing": "\0\0\0",
    "no width": "\u200b\u200c\u200d\ufeff7\u2060",
    "combining": "7" + "\u0338" * 5_000,
    "right to left": "\u202e7\u202c",
}
EASY = [("7", "7"), ("1+x", "x+1"), (r"\sum_{k=1}^{n}k", "n(n+1)/2")]
"""Among hostile texts, honest ones are still paid."""


def bank() -> dict[str, str]:
    """Name every hostile text."""
    texts = {tower: tower for tower in TOWERS.strip().split("\n")}
    for name, (before, after) in NESTS.items():
        texts[f"nested {name}"] = before * NEST + "7" + after * NEST
        texts[f"open {name}"] = before * NEST
        texts[f"40 {name}"] = before * 40 + "7" + after * 40
    texts |= {f"flood of {piece!a}": piece * (FLOOD // len(piece)) for piece in FLOODS}
    return texts | HUGE


BANK = bank()
QUICK = [replace(policy, is_symbolic=False) for policy in (EVAL, REWARD)]
HURRIED = [replace(policy, timeout_s=0.1) for policy in (EVAL, REWARD)]
"""A tenth of the usual time for sympy: here it mostly runs out of time."""
GOLDS = ("7", r"\frac{x}{2}+1", "(1,2)", "[0,1)")
SHARED = [name for name in BANK if not name.startswith("flood")][::4]
"""The part that every kind of caller grades."""


def check(score: Score) -> None:
    """Check what holds of every score."""
    assert score.status in get_args(Status)
    assert score.value == {"correct": 1.0, "gold_unparseable": None}.get(score.status, 0.0)


def grade_in_every_way(name: str) -> list[tuple[str, float | None]]:
    """Grade one hostile text against itself and honest answers, both ways round."""
    text = BANK[name]
    lenient, strict = QUICK
    scores = [equivalent(text, text, lenient)]
    scores += [equivalent(text, "x+1", policy) for policy in HURRIED]
    for gold, policy in zip(GOLDS, (*QUICK, *QUICK), strict=True):
        scores.append(grade(f"so \\boxed{{{text}}}", gold, policy))
        scores.append(equivalent(text, gold, policy))
        scores.append(equivalent(gold, text, policy))
    scores.append(grade(text, "7", lenient))
    scores.append(grade(f"#### {text}", "7", strict))
    scores.append(grade(f"{text}\n\\boxed{{7}}", "7", lenient))
    scores.append(grade(f"The answer is {text}.", text, lenient))
    for score in scores:
        check(score)
    return [(score.status, score.value) for score in scores]


def sample_verdicts(_: object = None) -> list[Any]:
    """Grade the shared part; safe to send to any process."""
    found: list[Any] = [_shortly(BANK[name]) for name in SHARED]
    found += [equivalent(*pair).value for pair in EASY]
    return [*found, accuracy_reward([r"\boxed{7}", r"\boxed{8}"], answer=["7", "7"])]


def _shortly(text: str) -> list[float | None]:
    lenient, strict = HURRIED
    scores = [
        grade(rf"\boxed{{{text}}}", "7", lenient),
        equivalent(text, "x+1", strict),
        equivalent("x+1", text, lenient),
    ]
    return [score.value for score in scores]


@lru_cache(maxsize=1)
def main_verdicts() -> list[Any]:
    """Grade the shared part here, once."""
    return sample_verdicts()


def test_the_bank_is_large() -> None:
    assert len(BANK) >= 200


PROGRAM = f"""
import importlib.util, json, resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({MEMORY_BYTES}, {MEMORY_BYTES}))
spec = importlib.util.spec_from_file_location("safety", {str(MODULE)!r})
safety = importlib.util.module_from_spec(spec)
sys.modules["safety"] = safety
spec.loader.exec_module(safety)
print(json.dumps({{name: safety.grade_in_every_way(name) for name in safety.BANK}}))
"""


@pytest.mark.slow
@pytest.mark.slow
def test_the_whole_bank_is_graded_in_little_memory_without_a_hang() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=WHOLE_BANK_S,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    graded = json.loads(done.stdout)
    assert set(graded) == set(BANK)
    for name, verdicts in graded.items():
        assert verdicts[0][1] in (1.0, None) or verdicts[0][0] in ("limit", "no_answer"), name


def test_honest_answers_are_paid() -> None:
    assert main_verdicts()[-4:] == [1.0, 1.0, 1.0, [1.0, 0.0]]


def test_threads_agree() -> None:
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(sample_verdicts, range(4))) == [main_verdicts()] * 4


def test_asyncio_agrees() -> None:
    async def both() -> list[Any]:
        return [sample_verdicts(), await asyncio.to_thread(sample_verdicts)]

    assert asyncio.run(both()) == [main_verdicts()] * 2


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_process_pools_agree(method: str) -> None:
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(sample_verdicts, range(2)) == [main_verdicts()] * 2


def _answer_into(sender: Any) -> None:
    sender.send(sample_verdicts())


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_daemonic_process_agrees() -> None:
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.Process(target=_answer_into, args=(sender,), daemon=True)
    process.start()
    assert receiver.poll(WHOLE_BANK_S)
    assert receiver.recv() == main_verdicts()
    process.join(WHOLE_BANK_S)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_data_loader_worker_agrees() -> None:
    data = pytest.importorskip("torch.utils.data")
    loader = data.DataLoader(range(2), num_workers=1, batch_size=None, collate_fn=sample_verdicts)
    assert list(loader) == [main_verdicts()] * 2


def test_batches_agree() -> None:
    completions = [rf"\boxed{{{BANK[name]}}}" for name in SHARED]
    together = [score.value for score in grade_many(completions, "7", HURRIED[0], processes=2)]
    assert together == [values[0] for values in main_verdicts()[: len(SHARED)]]
