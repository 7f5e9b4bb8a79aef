r"""No text that the grader reads is ever run: a lint over the sources, and payloads that try.

The payload families are those that ran on other graders (``exec`` out of ``chr``, letters that
NFKC folds into attribute names, ``sympify`` through a function's argument) and their relatives. A
payload that runs makes a marker file; an audit hook also sees what leaves no mark.
"""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("mathrl", "rewards", "evals", "trainers")

RUNS_TEXT = frozenset({"eval", "exec", "compile", "__import__", "execfile"})
READS_TEXT = frozenset({"sympify", "parse_expr", "parse_latex", "latex2sympy", "nsimplify"})
"""Functions of sympy, or around it, that give a string to ``eval``."""
SHELLS = frozenset({"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"})
UNPICKLES = frozenset({"pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.loads"})
SYMPY = ("sympy", "sp")
TAKES_NAMES = ("Symbol", "symbols", "Function", "Dummy")
"""Functions of sympy for which a string is a name."""
SIDES = ("+", "-", "+-")
"""From which side ``sympy.limit`` comes."""

MAY_UNPICKLE = {
    "rewards/isolate.py": "in the worker: requests of the process that started it, over its pipe",
}
"""Where ``pickle`` may read, each with whose bytes they are; a reply is JSON, never a pickle."""


# ---- the lint ----


def violations(source: str, path: str = "") -> list[str]:
    """List what a source must not call, import or pass on, as ``line: what``.

    Args:
        source: A module's text.
        path: Where it stands in the repository; some files may unpickle.
    """
    return [
        f"{getattr(node, 'lineno', 0)}: {what}"
        for node in ast.walk(ast.parse(source))
        for what in _faults(node, path)
    ]


def _faults(node: ast.AST, path: str) -> Iterator[str]:
    if isinstance(node, ast.ImportFrom):
        for alias in node.names:
            yield from _of_name(f"{node.module}.{alias.name}", path)
    elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
        yield from _of_name(ast.unparse(node), path)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        if node.id in RUNS_TEXT | READS_TEXT:  # also where it is only passed on: map(eval, texts)
            yield node.id
    elif isinstance(node, ast.Call):
        yield from _of_call(node)


def _of_name(name: str, path: str) -> Iterator[str]:
    first, _, last = name.rpartition(".")
    is_builtin = first in ("builtins", "__builtins__") and last in RUNS_TEXT
    is_pickled = name in UNPICKLES and path not in MAY_UNPICKLE
    if last in READS_TEXT or name in SHELLS or is_builtin or is_pickled:
        yield name


def _of_call(node: ast.Call) -> Iterator[str]:
    name = ast.unparse(node.func)
    for keyword in node.keywords:
        is_off = isinstance(keyword.value, ast.Constant) and not keyword.value.value
        if keyword.arg == "shell" and not is_off:
            yield f"{name} with a shell"
    if name in ("sympy.S", "sp.S") and not all(map(_is_number, node.args)):
        yield f"{name} of what may be text"
    texts = [argument for argument in node.args if _is_text(argument)]
    first, _, function = name.partition(".")
    if texts and first in SYMPY and function not in TAKES_NAMES:
        yield f"{name} of text"


def _is_text(node: ast.expr) -> bool:
    if isinstance(node, ast.JoinedStr):
        return True
    is_side = isinstance(node, ast.Constant) and node.value in SIDES
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and not is_side


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float)


def sources() -> list[Path]:
    """List the modules of the four source folders; mathrl links to the others."""
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    return sorted({path.resolve() for path in found})


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_runs_text(path: Path) -> None:
    relative = str(path.relative_to(ROOT))
    assert violations(path.read_text(encoding="utf-8"), relative) == []


def test_every_exception_is_needed() -> None:
    for path in MAY_UNPICKLE:
        assert violations((ROOT / path).read_text(encoding="utf-8")), f"{path} unpickles nothing"


def test_the_lint_sees_all_four_folders() -> None:
    folders = {path.relative_to(ROOT).parts[0] for path in sources()}
    assert folders == set(FOLDERS)
    assert len(sources()) > 60


FORBIDDEN = """
eval(text)
exec(text)
compile(text, "", "eval")
__import__(name)
list(map(eval, texts))
run = exec
builtins.eval(text)
__builtins__.exec(text)
from builtins import eval as read
sympify(text)
sympy.sympify(text)
from sympy import sympify
from sympy.parsing.sympy_parser import parse_expr
from sympy.parsing.sympy_parser import parse_expr as read
sympy.parsing.sympy_parser.parse_expr(text)
from sympy.parsing.latex import parse_latex
sympy.S("1/2")
sympy.S(text)
sympy.S(f"{text}")
sympy.sqrt("x")
sympy.Integer("1")
sympy.simplify(f"({text})-1")
sympy.N("pi")
sympy.nsimplify(value)
pickle.loads(data)
pickle.load(file)
from pickle import loads
pickle.Unpickler(file)
marshal.loads(data)
os.system(command)
from os import system
os.popen(command)
subprocess.run(command, shell=True)
subprocess.Popen(command, shell=is_shell)
subprocess.getoutput(command)
"""
ALLOWED = """
re.compile(text)
model.eval()
sympy.Symbol("x")
sympy.S(1)
sympy.limit(body, x, 0, "+-")
sympy.parsing.sympy_parser.parse_expr = read
sympy.Integer(1)
self.compile(text)
pickle.dumps(data)
subprocess.run([program])
subprocess.run([program], shell=False)
importlib.import_module(name)
recipe.eval.every
ast.parse(source)
"""


@pytest.mark.parametrize("line", FORBIDDEN.strip().split("\n"))
def test_the_lint_catches(line: str) -> None:
    assert violations(f"def f():\n    {line}")


@pytest.mark.parametrize("line", ALLOWED.strip().split("\n"))
def test_the_lint_passes(line: str) -> None:
    assert violations(line) == []


def test_only_named_files_may_unpickle() -> None:
    assert violations("pickle.loads(data)", "rewards/isolate.py") == []
    assert violations("pickle.loads(data)", "rewards/grade.py")


# ---- payloads ----

MARKER = "MARKER"
"""Stands in the payloads for the path of a file that must never appear."""
_MAKE = f"open('{MARKER}','w')"
_CHARACTERS = "CHARACTERS"
"""Stands for ``chr(111)+chr(112)+...``, which spells the line that makes the marker."""

PAYLOADS = rf"""
__import__('os').system('touch {MARKER}')
__import__("os").mkdir("{MARKER}")
__import__('pathlib').Path('{MARKER}').touch()
__import__('subprocess').run(['touch','{MARKER}'])
{_MAKE}
{_MAKE}.write('1') or 7
7 if {_MAKE} else 8
exec({_CHARACTERS})
exec({_CHARACTERS})or 0\pi
exec({_CHARACTERS})&1
eval({_CHARACTERS})
eval("{_MAKE}")
exec("{_MAKE}")
eval(compile({_CHARACTERS},chr(120),chr(101)+chr(120)+chr(101)+chr(99)))
(lambda: {_MAKE})()
(lambda f=open: f('{MARKER}','w'))()+7
[{_MAKE} for x in (1,)][0]
(x := {_MAKE})
{{7: {_MAKE}}}[7]
print({_MAKE})
f"{{{_MAKE}}}"
f'{{__import__("os").mkdir("{MARKER}")}}'
"{{0.__class__.__init__.__globals__}}".format(open)
"%s" % {_MAKE}
().__class__.__base__.__subclasses__()[-1]()
().__class__.__mro__[1].__subclasses__()
x.__class__.__init__.__globals__['__builtins__']['exec']({_CHARACTERS})
sqrt.__globals__['__builtins__']['exec']({_CHARACTERS})
sin(sqrt.__doc__.__class__({_CHARACTERS}))
frac(sqrt.__ⅾoⅽ__[1]+sqrt.__ⅾoⅽ__[2])+1/2
ｅｘｅｃ({_CHARACTERS})
𝐞𝐱𝐞𝐜({_CHARACTERS})
ｅｖａｌ("{_MAKE}")
ｏｐｅｎ('{MARKER}','w')
e\u200bxec({_CHARACTERS})
getattr(__builtins__,'op'+'en')('{MARKER}','w')
globals()['__builtins__'].open('{MARKER}','w')
vars(__builtins__)['open']('{MARKER}','w')
breakpoint()
help()
sympify("{_MAKE}")
S("{_MAKE}")
parse_expr("{_MAKE}")
Symbol("{_MAKE}")
Integer({_MAKE})
x+S("__import__('os').mkdir('{MARKER}')")
Function("exec")({_CHARACTERS})
lambdify(x,"{_MAKE}")(1)
simplify("{_MAKE}")+1/3
sum(__import__('os').system('touch {MARKER}') for x in [1])
\input{{{MARKER}}}
\input|"touch {MARKER}"
\write18{{touch {MARKER}}}
\immediate\write18{{touch {MARKER}}}
\openout\f={MARKER}
\newwrite\f\immediate\openout\f={MARKER}\closeout\f
\csname write18\endcsname{{touch {MARKER}}}
\directlua{{os.execute("touch {MARKER}")}}
\catcode`\{{=12\input {MARKER}
\usepackage{{{MARKER}}}
\lstinputlisting{{{MARKER}}}
\operatorname{{exec}}({_CHARACTERS})
\text{{{_MAKE}}}
\mathrm{{__import__}}('os').system('touch {MARKER}')
\frac{{{_MAKE}}}{{2}}
\sqrt{{__import__('os').mkdir('{MARKER}')}}
\begin{{pmatrix}}exec({_CHARACTERS})&1\end{{pmatrix}}
\sum_{{k={_MAKE}}}^{{3}} k
\sum_{{k=1}}^{{n}} eval("{_MAKE}")
\int_0^1 exec({_CHARACTERS}) dx
\{{x \mid {_MAKE}\}}
[{_MAKE}, 2)
`touch {MARKER}`
$(touch {MARKER})
; touch {MARKER}
|| touch {MARKER}
| tee {MARKER}
<script>require('fs').writeFileSync('{MARKER}','')</script>
{{{{ config.__class__.__init__.__globals__['os'].mkdir('{MARKER}') }}}}
${{jndi:ldap://127.0.0.1/{MARKER}}}
!!python/object/apply:os.mkdir ["{MARKER}"]
cos\nsystem\n(S'touch {MARKER}'\ntR.
#!/bin/sh touch {MARKER}
0\pi) or {_MAKE} or (0
1/2;{_MAKE}
x={_MAKE}
2**{_MAKE}
1_{{{_MAKE}}}
@{_MAKE}
int.from_bytes({_MAKE})
exec(x)+eval(x)
e^{{exec(1)}}+open(x)^2
\operatorname{{exec}}(7)+x
open(x)^2+1
S(x)+N(x)-Q(1)
\frac{{compile(x)}}{{2}}
\sqrt{{x.__class__}}+1
\_\_import\_\_(x)+1
"""

PROGRAM = r"""
import json, os, sys
from dataclasses import replace
from pathlib import Path

from mathrl.rewards import EVAL, REWARD, accuracy_reward, equivalent, explain, extract, grade
from mathrl.rewards import grade_many
from mathrl.rewards.cas import decide, is_equal, prepare
from mathrl.rewards.isolate import call
from mathrl.rewards.latex import parse
from mathrl.rewards.literals import ParseError
from mathrl.rewards.tokens import tokenize
import mathrl.cli.score_rows, random

payloads, marker, report = json.loads(Path(sys.argv[1]).read_text()), sys.argv[2], sys.argv[3]
QUICK = [replace(policy, is_symbolic=False) for policy in (EVAL, REWARD)]
ALWAYS = {"os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "os.mkdir",
          "os.remove", "os.rename", "shutil.rmtree", "socket.connect", "ctypes.dlopen",
          "pickle.find_class", "builtins.breakpoint"}
seen = []


def watch(event, arguments):
    if event in ALWAYS:
        seen.append((event, repr(arguments)[:300]))
    elif event == "open":  # an argument may be absent: open(file, mode, flags)
        mode, flags = (*arguments, None, None, None)[1:3]
        makes = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
        if set(str(mode or "")) & set("wax+") or (flags or 0) & makes:
            seen.append(("open", repr(arguments)[:300]))
    elif event in ("exec", "compile"):  # a module's first import is code from its own file
        name = getattr(arguments[0], "co_filename", None) or str(arguments[1])
        if not name.startswith("<frozen") and not os.path.isabs(name) and not is_sympys(arguments):
            seen.append((event, repr(arguments)[:300]))


def is_sympys(arguments):
    # sympy.polys.monomials writes its loops out: code that depends on a count of letters alone
    code = arguments[0]
    if hasattr(code, "co_names"):
        return code.co_names[0].startswith("monomial_")
    return code is not None and code[:13] in (b"def monomial_", "def monomial_")


def tree(text):
    try:
        return parse(tokenize(text))
    except (ParseError, RecursionError, ZeroDivisionError):
        return None


def is_quick(first, second):
    try:
        is_equal(first, second, timeout_s=0.3)
    except (TimeoutError, MemoryError):
        return False
    return True


# what a first use imports may make classes; that is not the payload's doing
prepare()
for policy in (EVAL, REWARD):
    equivalent(r"\sum_{k=1}^{n} k", r"\frac{n(n+1)}{2}", replace(policy, timeout_s=60.0))
    explain(r"\boxed{\sqrt{2+\sqrt{3}}}", r"\frac{\sqrt{6}+\sqrt{2}}{2}", policy)
grade_many(["1"], "1")
call("os.path:exists", marker, timeout_s=60.0)
sys.addaudithook(watch)
trees = 0
for payload in payloads:
    forms = [payload, f"${payload}$", rf"\boxed{{{payload}}}", f"<answer>{payload}</answer>",
             f"#### {payload}", f"The answer is {payload}", f"Answer: {payload}."]
    for policy in QUICK:
        for form in forms:
            for gold in ("7", r"\frac{1}{2}+x", payload):
                grade(form, gold, policy)
            equivalent(form, "x+1", policy)
            equivalent("x+1", form, policy)
            extract(form, policy)
        explain(forms[2], payload, policy)
    accuracy_reward([[{"role": "assistant", "content": forms[2]}]], answer=[payload])
    accuracy_reward(forms[2:3], answer=["7"])
    grade_many(forms[2:3], payload, processes=1)
    built = tree(payload)
    if built is not None:  # straight to sympy, here too, whatever the quick tiers would have said
        trees += 1
        for other in (tree("7"), tree("x+1")):
            if is_quick(built, other) and r"\int" not in payload:  # which imports half of sympy
                decide(built, other)
    if seen or os.path.exists(marker):
        break
result = {"payload": payload, "events": seen, "trees": trees}
Path(report).write_text(json.dumps(result))
"""


def spelled(marker: str) -> list[str]:
    """Put the marker's path into the payloads."""
    line = _MAKE.replace(MARKER, marker)
    characters = "+".join(f"chr({ord(character)})" for character in line)
    written = PAYLOADS.strip().split("\n")
    return [payload.replace(_CHARACTERS, characters).replace(MARKER, marker) for payload in written]


def watched(payloads: list[str], folder: Path) -> dict[str, Any]:
    """Grade payloads in every way, in a process that records what it does meanwhile."""
    (folder / "payloads.json").write_text(json.dumps(payloads))
    (folder / "program.py").write_text(PROGRAM)
    command = [sys.executable, "program.py", "payloads.json", "m", "report.json"]
    subprocess.run(command, check=True, cwd=folder, timeout=300)
    return json.loads((folder / "report.json").read_text())


@pytest.mark.slow
def test_no_payload_runs(tmp_path: Path) -> None:
    payloads = spelled("m")
    assert len(payloads) >= 80
    result = watched(payloads, tmp_path)
    assert not result["events"], result["payload"]
    assert not (tmp_path / "m").exists(), result["payload"]
    assert result["payload"] == payloads[-1]
    assert result["trees"] >= 8  # enough of them look like mathematics to come to sympy
    assert {path.name for path in tmp_path.iterdir()} == {
        "payloads.json",
        "program.py",
        "report.json",
    }
