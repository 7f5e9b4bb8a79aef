"""``manifest.json``: what a run depended on, so that a number can be traced and made again.

It names no host, no user and no folder: a manifest can be published as it is.
"""

import hashlib
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import mathrl
from mathrl.files import write_whole
from mathrl.schema import Problem

MANIFEST_FILE = "manifest.json"
PACKAGES = ("torch", "transformers", "tokenizers")


def write_manifest(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write the facts of a run beside its results, with versions and machine added.

    Raises:
        StorageError: The disk refused.
    """
    manifest = {**facts, "versions": installed_versions(), "machine": machine_summary()}
    write_whole(folder / MANIFEST_FILE, json.dumps(manifest, indent=1) + "\n")


def read_manifest(folder: Path) -> dict[str, Any]:
    """The facts of a run; nothing where it has no manifest."""
    path = folder / MANIFEST_FILE
    facts: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return facts


def installed_versions() -> dict[str, str]:
    """Versions of Python and of the packages that can change a number."""
    found = {"mathrl": mathrl.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def machine_summary() -> dict[str, Any]:
    """The kind of machine: system, processor, cores and accelerators."""
    summary: dict[str, Any] = {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "accelerators": [],
    }
    torch = sys.modules.get("torch")  # asked only where something has loaded it already
    if torch is not None and torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        summary["accelerators"] = names
    return summary


def problems_hash(problems: Sequence[Problem]) -> str:
    """Hash of the ids, questions and answers, in their order."""
    digest = hashlib.blake2b(digest_size=16)
    for problem in problems:
        digest.update(json.dumps([problem.id, problem.prompt, problem.answer]).encode())
    return digest.hexdigest()
