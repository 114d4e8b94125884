"""Checks of the repository that need no training: stored outputs, and what importing the package does."""
import json
import os
import subprocess
import sys
from pathlib import Path

root = Path(__file__).resolve().parent.parent
problems = []

# 1. notebooks: no error in a stored output, every code cell run, small, no widgets
for path in sorted((root / "nbs").rglob("*.ipynb")):
    if ".ipynb_checkpoints" in path.parts: continue
    nb, name = json.loads(path.read_text(encoding="utf-8")), path.relative_to(root)
    outputs = [o for c in nb["cells"] for o in c.get("outputs", [])]
    if any(o["output_type"] == "error" for o in outputs): problems.append(f"{name}: a stored output is an error")
    if any("widget" in kind for o in outputs for kind in o.get("data", {})): problems.append(f"{name}: a stored widget")
    if path.stat().st_size > 400_000: problems.append(f"{name}: {path.stat().st_size // 1000} kB, over 400")
    if not outputs: problems.append(f"{name}: no stored output: run it with .ci/execute.py")

# 2. imports: quick beyond torch's own, silent, no network, no file written
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
sys.stderr.write(f"seconds {time.perf_counter() - start:.2f} " + " ".join(
    m for m in ("torchvision", "matplotlib", "PIL", "torchmetrics", "pandas") if m in sys.modules))
"""
for path in sorted((root / "cifar10_nb").glob("*.py")):
    module = "cifar10_nb" if path.stem == "__init__" else f"cifar10_nb.{path.stem}"
    done = subprocess.run([sys.executable, "-c", probe, module], capture_output=True, text=True, cwd="/",
                          env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1"))
    said, _, tail = done.stderr.rpartition("seconds ")
    if done.returncode or done.stdout or said:
        problems.append(f"import {module}: {(done.stdout + done.stderr).strip().splitlines()[-1]}")
        continue
    seconds, *heavy = tail.split()
    print(f"import {module}: {seconds} s beyond torch")
    if float(seconds) > 5: problems.append(f"import {module}: {seconds} s beyond torch's own")
    if heavy: problems.append(f"import {module}: loads {', '.join(heavy)}")

sys.exit("\n".join(problems) if problems else 0)
