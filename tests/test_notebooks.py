"""Every notebook runs from top to bottom, alone in an empty folder, with the package as a wheel has it: no clone is at hand.

Each has a process of its own, so that none leaves threads or memory to the next.
"""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

root = Path(__file__).resolve().parent.parent
notebooks = sorted(p.relative_to(root) for p in (root / "nbs").rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
nbdev_test = Path(sys.executable).parent / "nbdev_test"


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    "A folder with the package and the results on file, as tools/wheel.py finds them in a wheel."
    folder = tmp_path_factory.mktemp("package")
    shutil.copytree(root / "cifar10_nb", folder / "cifar10_nb", ignore=shutil.ignore_patterns("__pycache__", "filed"))
    for path in (root / "results").rglob("*.json"):
        copy = folder / "cifar10_nb/filed" / path.relative_to(root / "results")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return folder


@pytest.mark.parametrize("path", notebooks, ids=str)
def test_notebook(path, package, tmp_path):
    shutil.copy(root / path, tmp_path)
    env = os.environ | dict(PYTHONPATH=str(package))
    command = [nbdev_test, "--path", path.name, "--n_workers", "0", "--do_print"]
    done = subprocess.run(command, cwd=tmp_path, env=env, text=True, capture_output=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
