"""Checks of the repository that need no training: stored outputs, and numbers on pages.

    python tools/check.py [--update] [NOTEBOOK ...]

Every notebook has outputs, and among them no error, no widget and no figure without its picture. Cells marked
`#| from: results` are run again, alone, and must print what is stored. What is wrong is printed, and makes the exit code 1. After new
results were filed, `--update` stores what these cells print now, all other cells staying as they are; then comes `nbdev_clean`.
"""
import argparse
import json
import re
import sys
from pathlib import Path

import nbformat
from execute import stored
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

root = Path(__file__).resolve().parent.parent


def ill_stored(path):
    "What is wrong with the stored outputs of a notebook."
    outputs = [o for c in json.loads(path.read_text(encoding="utf-8"))["cells"] for o in c.get("outputs", [])]
    shown = [o["data"] for o in outputs if "<Figure size" in "".join(o.get("data", {}).get("text/plain", []))]
    if any(o["output_type"] == "error" for o in outputs): yield "a stored output is an error"
    if any("widget" in kind for o in outputs for kind in o.get("data", {})): yield "a stored widget"
    if not all({"image/png", "image/jpeg"} & data.keys() for data in shown): yield "a figure without its picture"
    if path.stat().st_size > 400_000: yield f"{path.stat().st_size // 1000} kB, over 400"
    if not outputs: yield "no stored output: run it with tools/execute.py"


def marked(cell):
    "Is the cell made from the results on file, and from nothing else?"
    return cell.cell_type == "code" and re.search(r"^#\| *from: *results *$", cell.source, re.M)


def reads_results(cell):
    "Does the cell read the results on file? Then it has to be marked."
    return cell.cell_type == "code" and not cell.source.startswith("#| export") and "load_results(" in cell.source


def said(cell):
    "The lines of a cell's outputs, however many pieces they came in."
    texts = [{**o, **o.get("data", {})} for o in cell.outputs if o.get("name") != "stderr"]
    text = "\n".join("".join(t[k]) for t in texts for k in ("text", "text/markdown", "text/plain") if k in t)
    return [line for line in text.splitlines() if line.strip()]


def run_alone(path, cells):
    "The cells of a notebook, run again after what the notebook exports and nothing else."
    sources = "\n".join(cell.source for cell in nbformat.read(path, 4).cells)
    own = re.search(r"^#\| *default_exp +([\w.]+)", sources, re.M)
    first = nbformat.v4.new_code_cell(f"from cifar10_nb.{own[1]} import *" if own else "")
    again = nbformat.v4.new_notebook(cells=[first, *(nbformat.v4.new_code_cell(cell.source) for cell in cells)])
    NotebookClient(again, timeout=120, resources={"metadata": {"path": str(path.parent)}}).execute()
    return again.cells[1:]


def stale(path, update=False):
    "What is wrong with the marked cells of a notebook; with `update`, old outputs are replaced."
    nb = nbformat.read(path, 4)
    all_cells = nb.cells
    for cell in all_cells:
        if reads_results(cell) and not marked(cell):
            yield f"reads results/, so it needs the line `#| from: results`: {cell.source.splitlines()[-1]}"
    cells = [cell for cell in all_cells if marked(cell)]
    if not cells: return
    try: again = run_alone(path, cells)
    except CellExecutionError as e:
        yield f"its cells marked `#| from: results` do not run alone: {e.ename}: {e.evalue}"
        return
    if update:  # always: a figure says the same words whatever it shows
        for cell, new in zip(cells, again): cell.outputs = stored(new.outputs)
        nbformat.write(nb, path)
    for cell, new in zip(cells, again):
        if said(cell) != said(new):
            lines = zip(said(cell), said(new))
            old, now = next(((a, b) for a, b in lines if a != b), ("fewer or more lines", "of the same"))
            yield f"a page shows what results/ no longer give: tools/check.py --update\n    page: {old}\n    now:  {now}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", type=lambda name: Path(name).resolve(), help="all of nbs/ if not given")
    parser.add_argument("--update", action="store_true", help="store what the marked cells print now")
    told = parser.parse_args()
    paths = told.notebooks or sorted((root / "nbs").rglob("*.ipynb"))
    paths = [path for path in paths if ".ipynb_checkpoints" not in path.parts]
    problems = [f"{path.relative_to(root)}: {line}" for path in paths for line in (*stale(path, told.update), *ill_stored(path))]
    count = sum(bool(marked(cell)) for path in paths for cell in nbformat.read(path, 4).cells)
    print(f"{count} cells made from results/")
    sys.exit("\n".join(problems) if problems else 0)


if __name__ == "__main__": main()
