"Every notebook runs from top to bottom, each in a process of its own, so that none leaves threads or memory to the next."
import subprocess
import sys
from pathlib import Path

import pytest

root = Path(__file__).resolve().parent.parent
notebooks = sorted(p.relative_to(root) for p in (root / "nbs").rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
nbdev_test = Path(sys.executable).parent / "nbdev_test"


@pytest.mark.parametrize("path", notebooks, ids=str)
def test_notebook(path):
    done = subprocess.run([nbdev_test, "--path", path, "--n_workers", "0", "--do_print"], cwd=root, text=True, capture_output=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
