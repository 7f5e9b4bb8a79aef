"""Run outside the checkout: light imports, every public name, a grade from a thread."""

import importlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

LIGHT = ["mathrl.rewards", "mathrl.engines", "mathrl.evals", "mathrl.data", "mathrl.config"]
HEAVY = ["mathrl.trainers"]
LOADED = "import sys, json, {name}; print(json.dumps([m for m in {heavy} if m in sys.modules]))"
PACKAGES = ["torch", "transformers", "vllm", "datasets", "numpy", "sympy"]


def check_imports(names: list[str]) -> None:
    """Every public name of a package can be imported from it."""
    for name in names:
        module = importlib.import_module(name)
        assert module.__doc__, name
        for public in module.__all__ if hasattr(module, "__all__") else []:
            assert getattr(module, public) is not None, f"{name}.{public}"


def check_lightness() -> None:
    """None of these loads a heavy package, in a fresh interpreter each."""
    for name in [*LIGHT, "mathrl.cli"]:
        code = LOADED.format(name=name, heavy=PACKAGES)
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        assert json.loads(said.stdout) == [], f"{name} loads {said.stdout!r}"


def check_grading() -> None:
    """One answer, from a thread."""
    from mathrl.rewards import accuracy_reward, grade

    with ThreadPoolExecutor(1) as pool:
        score = pool.submit(grade, r"So it is \boxed{\frac{1}{2}}.", "0.5").result()
        rewards = pool.submit(accuracy_reward, ["#### 18", "#### 17"], answer=["18", "18"])
    assert (score.status, score.value) == ("correct", 1.0), score
    assert rewards.result() == [1.0, 0.0]


if __name__ == "__main__":
    if "--all" in sys.argv:
        sys.path.insert(0, sys.argv[-1])  # the wheel itself, as a zip
        import mathrl

        assert mathrl.__file__.startswith(sys.argv[-1]), mathrl.__file__
        check_imports([*LIGHT, *HEAVY])
    else:
        check_imports(LIGHT)
        check_lightness()
    check_grading()
    sys.stdout.write("the wheel is in order\n")
