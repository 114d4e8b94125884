"""Run notebooks top to bottom and store their outputs as text and pictures.

    python tools/execute.py nbs/03_train.ipynb ...

Afterwards `nbdev_clean` makes the files as they are committed.

Progress bars are left out of the stored outputs: in a file they are noise, and as widgets they need a running kernel.
"""
import argparse
import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def kept(output):
    "Is this output worth storing?"
    is_widget = any("widget" in kind for kind in output.get("data", {}))
    return not is_widget and output.get("name") != "stderr"


def execute(path):
    nb = nbformat.read(path, 4)
    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(nb, timeout=600, store_widget_state=False, coalesce_streams=True, resources=resources).execute()
    nb.metadata = {"kernelspec": {"display_name": "python3", "language": "python", "name": "python3"}}
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.metadata = [o for o in cell.outputs if kept(o)], {}
    nbformat.write(nb, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="+", type=Path)
    for path in parser.parse_args().notebooks: execute(path)


os.environ.pop("MPLBACKEND", None)  # a set backend would keep pictures out of the outputs
if __name__ == "__main__": main()
