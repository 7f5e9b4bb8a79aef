"""Few-shot texts, read from the installed lm-eval: none is kept here, and a hash proves each.

The examples are data in lm-eval's task files. They are read as text, YAML and a Python literal;
lm-eval itself is neither imported nor run. Another version may word them otherwise, which changes
every score under them, so a text that is not the known one is refused.

The examples of GSM8K (arXiv 2201.11903, Wei et al.) are the same in lm-eval, DeepSeek-Math and
Qwen2.5-Math; what stands between them is not. The four of MATH (arXiv 2206.14858, appendix D)
differ in white space and one stray brace.
"""

import ast
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module, metadata, util
from pathlib import Path

from mathrl.errors import ConfigError, MissingExtraError

KNOWN_VERSION = "0.4.13"
_GSM8K_FILE = "tasks/gsm8k/gsm8k-cot.yaml"
_MATH_FILE = "tasks/minerva_math/utils.py"
_MATH_FUNCTION = "list_fewshot_samples"


@dataclass(frozen=True, kw_only=True, slots=True)
class FewShot:
    """Worked examples as one text, which stands before the question."""

    name: str
    """Whose text it is."""
    file: str
    """Where lm-eval keeps the examples."""
    sha256: str
    """Of the known text."""
    render: Callable[[Path], str]
    """From lm-eval's file to the text."""

    def text(self) -> str:
        """Read the text.

        Raises:
            MissingExtraError: lm-eval is not installed.
            ConfigError: The installed lm-eval has another text; names both hashes.
        """
        path = _lm_eval_folder() / self.file
        version = _lm_eval_version()
        mend = f"pip install lm-eval=={KNOWN_VERSION}"
        try:
            text = self.render(path)
        except (OSError, ValueError, SyntaxError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{self.file} of lm-eval {version} does not hold the examples of {self.name} "
                f"({error!r:.80}); {mend}"
            ) from error
        found = sha256(text)
        if found != self.sha256:
            raise ConfigError(
                f"lm-eval {version} has another few-shot text for {self.name}: sha256 "
                f"{found[:12]}, known is {self.sha256[:12]} of lm-eval {KNOWN_VERSION}; {mend}"
            )
        return text


def sha256(text: str) -> str:
    """Hash of a text in UTF-8, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def _lm_eval_folder() -> Path:
    spec = util.find_spec("lm_eval")  # of a top-level package this runs none of its code
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(
            "the few-shot examples are read from lm-eval: pip install 'mathrl[lm-eval]'"
        )
    return Path(spec.submodule_search_locations[0])


def _lm_eval_version() -> str:
    try:
        return metadata.version("lm_eval")
    except metadata.PackageNotFoundError:
        return "(unknown version)"


def _gsm8k(separator: str) -> Callable[[Path], str]:
    def render(path: Path) -> str:
        yaml = import_module("yaml")  # lm-eval needs it, so it is there
        task = yaml.safe_load(path.read_text("utf-8"))
        examples = task["fewshot_config"]["samples"]
        return separator.join(f"Q: {one['question']}\nA: {one['target']}" for one in examples)

    return render


def _math(path: Path) -> str:
    module = ast.parse(path.read_text("utf-8"))
    functions = [node for node in module.body if isinstance(node, ast.FunctionDef)]
    body = {function.name: function.body for function in functions}[_MATH_FUNCTION]
    (literal,) = (node.value for node in body if isinstance(node, ast.Return) and node.value)
    examples = ast.literal_eval(literal)
    return "\n\n".join(
        f"Problem:\n{one['problem']}\n\nSolution: {one['solution']}" for one in examples
    )


_DEEPSEEK_SPELLING = (
    ("expression  $", "expression $"),
    ("5-x}}$.\n", "5-x}}$.}\n"),  # the stray brace that DeepSeek-Math has kept
    ("Solution: ", "Solution:\n"),
    ("-negative. ", "-negative.\n"),
    ("\\le 5$. ", "\\le 5$.\n"),
    ("$x<5$. ", "$x<5$.\n"),
    ("for $n$:\n", "for $n$: "),
    ("nonzero,\n", "nonzero, "),
)
"""How DeepSeek-Math spells the same four examples."""


def _deepseek_math(path: Path) -> str:
    text = _math(path)
    for before, after in _DEEPSEEK_SPELLING:
        text = text.replace(before, after)
    return text


LM_EVAL_GSM8K = FewShot(
    name="lm-eval gsm8k_cot",
    file=_GSM8K_FILE,
    sha256="888f04fedcef6ae118172322e29080f823d9e5f77272d33e12db5721e3c3a04c",
    render=_gsm8k("\n\n"),
)
DEEPSEEK_GSM8K = FewShot(
    name="DeepSeek-Math GSM8K",
    file=_GSM8K_FILE,
    sha256="ff948dd847eb04493af0d564ed2b70fbb51197936c94eaa5f599cbb042bf1878",
    render=_gsm8k("\n\n\n"),
)
LM_EVAL_MATH = FewShot(
    name="lm-eval minerva_math",
    file=_MATH_FILE,
    sha256="b8c1d14c068d94349bbfd64d12a7f4665b906678fc6b05e2989f121c92ff34bd",
    render=_math,
)
DEEPSEEK_MATH = FewShot(
    name="DeepSeek-Math MATH",
    file=_MATH_FILE,
    sha256="4743061e8393cca1dcd805138b1ab15f0d72844392f2cc5aae511e978cced3a3",
    render=_deepseek_math,
)
