"Importing a module is quick beyond torch's own, silent, loads nothing heavy, writes no file and needs no network."
import os
import subprocess
import sys
from pathlib import Path

import pytest

probe = """
import sys, time, torch
def watch(event, args):
    writes = event == "open" and (isinstance(args[1], str) and set(args[1]) & set("wax+") or (args[2] or 0) & 3)
    if writes and args[0] == "/dev/null": return
    if writes or event in ("socket.connect", "socket.getaddrinfo", "os.mkdir", "os.rename", "os.remove", "subprocess.Popen"):
        raise RuntimeError(f"import did {event} {args}")
sys.addaudithook(watch)
start = time.perf_counter()
__import__(sys.argv[1])
seconds = time.perf_counter() - start
assert seconds < 5, f"{seconds:.1f} s beyond torch's own"
heavy = {"torchvision", "matplotlib", "PIL", "torchmetrics", "pandas", "onnx", "onnxruntime", "timm"} & set(sys.modules)
assert not heavy, heavy
"""

root = Path(__file__).parent.parent
modules = sorted(".".join(p.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
                 for p in (root / "cifar10_nb").rglob("*.py") if p.stem != "_modidx")


@pytest.mark.parametrize("name", modules)
def test_import_of_every_module(name):
    done = subprocess.run([sys.executable, "-c", probe, name], capture_output=True, text=True, cwd="/", env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
