"""Run notebooks top to bottom and store their outputs as text and pictures.

    python tools/execute.py nbs/03_train.ipynb ...

Afterwards `nbdev_clean` makes the files as they are committed.

Progress bars are left out of the stored outputs: in a file they are noise, and as widgets they need a running kernel. Pictures get a
palette of 256 colours, which makes them a third of their size.
"""
import argparse
import io
import os
from base64 import b64decode, b64encode
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image


def kept(output):
    "Is this output worth storing?"
    is_widget = any("widget" in kind for kind in output.get("data", {}))
    return not is_widget and output.get("name") != "stderr"


def packed(png):
    "A picture as base64, with a palette; itself where that is no smaller."
    small = io.BytesIO()
    Image.open(io.BytesIO(b64decode(png))).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return min(b64encode(small.getvalue()).decode() + "\n", png, key=len)


def stored(outputs):
    "The outputs as they are kept in a file."
    outputs = [o for o in outputs if kept(o)]
    for data in (o["data"] for o in outputs if "image/png" in o.get("data", {})): data["image/png"] = packed(data["image/png"])
    return outputs


def execute(path):
    nb = nbformat.read(path, 4)
    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(nb, timeout=600, store_widget_state=False, coalesce_streams=True, resources=resources).execute()
    nb.metadata = {"kernelspec": {"display_name": "python3", "language": "python", "name": "python3"}}
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.metadata = stored(cell.outputs), {}
    nbformat.write(nb, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="+", type=Path)
    for path in parser.parse_args().notebooks: execute(path)


os.environ.pop("MPLBACKEND", None)  # a set backend would keep pictures out of the outputs
if __name__ == "__main__": main()
