"""Checks of the repository that need no training: stored outputs, and numbers on pages."""
import json
import re
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

root = Path(__file__).resolve().parent.parent
problems = []

# 1. notebooks: no error in a stored output, every code cell run, small, no widgets
for path in sorted((root / "nbs").rglob("*.ipynb")):
    if ".ipynb_checkpoints" in path.parts: continue
    nb, name = json.loads(path.read_text(encoding="utf-8")), path.relative_to(root)
    outputs = [o for c in nb["cells"] for o in c.get("outputs", [])]
    if any(o["output_type"] == "error" for o in outputs): problems.append(f"{name}: a stored output is an error")
    if any("widget" in kind for o in outputs for kind in o.get("data", {})): problems.append(f"{name}: a stored widget")
    shown = [o["data"] for o in outputs if "<Figure size" in "".join(o.get("data", {}).get("text/plain", []))]
    if not all({"image/png", "image/jpeg"} & data.keys() for data in shown): problems.append(f"{name}: a figure without its picture")
    if path.stat().st_size > 400_000: problems.append(f"{name}: {path.stat().st_size // 1000} kB, over 400")
    if not outputs: problems.append(f"{name}: no stored output: run it with tools/execute.py")

# 2. what pages tell of results/: cells marked `#| from: results` are run again, alone, and must say what is stored
def marked(cell):
    "Is the cell made from the results on file, and from nothing else?"
    return cell.cell_type == "code" and re.search(r"^#\| *from: *results *$", cell.source, re.M)


def reads_results(cell):
    "Does the cell read the results on file? Then it has to be marked."
    return cell.cell_type == "code" and not cell.source.startswith("#| export") and "load_results(" in cell.source


def said(cell):
    "The text of a cell's outputs."
    texts = [{**o, **o.get("data", {})} for o in cell.outputs if o.get("name") != "stderr"]
    return ["".join(t[k]) for t in texts for k in ("text", "text/markdown", "text/plain") if k in t]


def stale(path):
    "What is wrong with the marked cells of a notebook."
    nb = nbformat.read(path, 4)
    for cell in nb.cells:
        if reads_results(cell) and not marked(cell):
            yield f"reads results/, so it needs the line `#| from: results`: {cell.source.splitlines()[-1]}"
    cells = [cell for cell in nb.cells if marked(cell)]
    if not cells: return
    own = re.search(r"^#\| *default_exp +([\w.]+)", "\n".join(cell.source for cell in nb.cells), re.M)
    first = nbformat.v4.new_code_cell(f"from cifar10_nb.{own[1]} import *" if own else "")  # what the notebook exports
    again = nbformat.v4.new_notebook(cells=[first, *(nbformat.v4.new_code_cell(cell.source) for cell in cells)])
    try: NotebookClient(again, timeout=120, resources={"metadata": {"path": str(path.parent)}}).execute()
    except CellExecutionError as e:
        yield f"its cells marked `#| from: results` do not run alone: {e.ename}: {e.evalue}"
        return
    for cell, new in zip(cells, again.cells[1:]):
        if said(cell) != said(new):
            lines = zip("\n".join(said(cell)).splitlines(), "\n".join(said(new)).splitlines())
            old, now = next(((a, b) for a, b in lines if a != b), ("fewer or more lines", "of the same"))
            yield f"a page shows what results/ no longer give: run it with tools/execute.py\n    page: {old}\n    now:  {now}"


count = 0
for path in sorted((root / "nbs").rglob("*.ipynb")):
    if ".ipynb_checkpoints" in path.parts: continue
    count += sum(bool(marked(cell)) for cell in nbformat.read(path, 4).cells)
    problems += [f"{path.relative_to(root)}: {line}" for line in stale(path)]
print(f"{count} cells made from results/")

sys.exit("\n".join(problems) if problems else 0)
