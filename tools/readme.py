"""Write README.md from nbs/index.ipynb.

    python tools/readme.py            write it
    python tools/readme.py --check    is it what the notebook makes? Exit code 1 if not

nbconvert turns the notebook into Markdown; links to other notebooks and to pictures are made to lead
to their files in the repository.
"""
import argparse
import re
import sys
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter

root = Path(__file__).resolve().parent.parent


def readme():
    nb = nbformat.read(root / "nbs/index.ipynb", 4)
    hidden = re.compile(r"^#\| *(hide|echo: *false|output: *asis|include: *false).*\n?", re.M)
    for cell in nb.cells:
        if cell.cell_type == "code":
            directives = hidden.findall(cell.source)
            # the directives that nbdev and Quarto obey: `hide` drops a cell, `echo: false` its code
            if "hide" in directives: cell.source, cell.outputs = "", []
            elif directives: cell.source = ""
    nb.metadata["language_info"] = {"name": "python"}  # for the code fences
    nb.cells = [c for c in nb.cells if c.source or c.get("outputs")]
    text, _ = MarkdownExporter().from_notebook_node(nb)
    text = re.sub(r"```python\s*```\n", "", text)  # the emptied cells
    text = re.sub(r"\]\((?!https?:|#)([\w/.-]+\.(?:ipynb|png))", r"](nbs/\1", text)
    text = re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"
    return "<!-- made from nbs/index.ipynb by tools/readme.py: edit the notebook -->\n\n" + text


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--check", action="store_true", help="compare, and write nothing")
args, path = parser.parse_args(), root / "README.md"
if args.check:
    if path.read_text(encoding="utf-8") != readme():
        sys.exit("README.md is not what nbs/index.ipynb makes: run python tools/readme.py")
else:
    path.write_text(readme(), encoding="utf-8")
