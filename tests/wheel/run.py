"""Install the built wheel into an environment of its own, outside the checkout, and use it there.

    python tests/wheel/run.py dist

Only click, rich and tomli-w are installed beside it: ``pip install mathrl`` alone must grade.
"""

import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHECKS = Path(__file__).with_name("checks.py")
SOURCES = {"mathrl": "mathrl", "rewards": "mathrl/rewards", "evals": "mathrl/evals"}
SOURCES |= {"trainers": "mathrl/trainers"}


def expected_files() -> set[str]:
    """What git knows of the four source folders, under the names that the wheel gives them."""
    listed = subprocess.run(
        ["git", "ls-files", *SOURCES], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    links = {"mathrl/rewards", "mathrl/evals", "mathrl/trainers"}
    return {
        f"{SOURCES[name.split('/')[0]]}/{name.split('/', 1)[1]}"
        for name in listed
        if name not in links
    }


def main() -> None:
    """Check the files of the wheel, then run ``checks.py`` where only the wheel is installed."""
    (wheel,) = Path(sys.argv[1]).resolve().glob("mathrl-*.whl")
    packed = {n for n in zipfile.ZipFile(wheel).namelist() if not n.split("/")[0].endswith("info")}
    missing, extra = expected_files() - packed, packed - expected_files()
    assert not missing and not extra, f"missing in the wheel: {missing}; not in git: {extra}"
    with tempfile.TemporaryDirectory() as folder:
        venv.create(Path(folder) / "venv", with_pip=True)
        python = Path(folder) / "venv" / "bin" / "python"
        install = [str(python), "-m", "pip", "install", "--quiet", "--constraint"]
        subprocess.run([*install, str(ROOT / "constraints.txt"), str(wheel)], check=True)
        subprocess.run([str(python), str(CHECKS)], cwd=folder, check=True)
        mathrl = str(python.with_name("mathrl"))
        for command in ("demo", "train-grpo"):
            said = subprocess.run(
                [mathrl, command], cwd=folder, capture_output=True, text=True, check=False
            )
            assert said.returncode == 2 and "pip install 'mathrl[train" in said.stderr, said
    # with what a training environment has besides, every public name is there
    subprocess.run(
        [sys.executable, str(CHECKS), "--all", str(wheel)], cwd=tempfile.gettempdir(), check=True
    )


if __name__ == "__main__":
    main()
