"""Every notebook runs from top to bottom, alone in an empty folder, with the package as a wheel has it: no clone is at hand.

Each has a process of its own, so that none leaves threads or memory to the next. It is forked from one that has imported torch and
nbdev already.
"""
import shutil
from pathlib import Path

import pytest
from preloaded import Preloaded

root = Path(__file__).resolve().parent.parent
notebooks = sorted(p.relative_to(root) for p in (root / "nbs").rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
as_nbdev_test_does = """
import sys
from pathlib import Path
from nbdev.config import get_config
from nbdev.test import test_nb
passed, seconds = test_nb(Path(sys.argv[1]).absolute(), skip_flags=get_config().tst_flags.split())
sys.exit(not passed)
"""


@pytest.fixture(scope="session")
def alone(tmp_path_factory):
    "Runs code with the package and the results on file, as tools/wheel.py finds them in a wheel."
    folder = tmp_path_factory.mktemp("package")
    shutil.copytree(root / "cifar10_nb", folder / "cifar10_nb", ignore=shutil.ignore_patterns("__pycache__", "filed"))
    for path in (root / "results").rglob("*.json"):
        copy = folder / "cifar10_nb/filed" / path.relative_to(root / "results")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    process = Preloaded(["torch._dynamo", "torchvision", "nbdev.test"], path=[folder])
    yield process
    process.close()


@pytest.mark.parametrize("path", notebooks, ids=str)
def test_notebook(path, alone, tmp_path):
    shutil.copy(root / path, tmp_path)
    (code,), memory, said = alone.run(as_nbdev_test_does, ["test", path.name], tmp_path, tmp_path.parent / f"{tmp_path.name}.txt")
    assert code == 0, said[-5000:]
    assert memory < 3e9, f"{memory / 1e9:.1f} GB"
