"""Write README.md from nbs/index.ipynb.

    python tools/readme.py            write it
    python tools/readme.py --check    is it what the notebook makes? Exit code 1 if not

nbconvert turns the notebook into Markdown. Links to notebooks and pictures lead to their files in the repository, and links to
other pages to the site, by their whole addresses: a package index shows this file too, and knows no other.
"""
import argparse
import re
import sys
from configparser import ConfigParser
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter

root = Path(__file__).resolve().parent.parent


def addresses():
    "Where the repository's files, its pictures, and the pages of the site are, by settings.ini."
    config = ConfigParser()
    config.read(root / "settings.ini", encoding="utf-8")
    cfg = config["DEFAULT"]
    raw = cfg["git_url"].replace("github.com", "raw.githubusercontent.com", 1)
    return f"{cfg['git_url']}/blob/{cfg['branch']}/nbs/", f"{raw}/{cfg['branch']}/nbs/", cfg["doc_host"] + cfg["doc_baseurl"] + "/"


def with_addresses(text):
    "Markdown whose links are whole addresses."
    files, pictures, site = addresses()
    for pattern, new in ((r"([\w/.-]+\.ipynb(?:#[\w-]+)?)", files + r"\1"), (r"([\w/.-]+\.(?:png|svg))", pictures + r"\1"),
                         (r"([\w/.-]+)\.qmd", site + r"\1.html")):
        text = re.sub(r"\]\((?!https?:|#)" + pattern + r"\)", f"]({new})", text)
    if left := re.search(r"\]\((?!https?:|#)[^)]*\)", text): sys.exit(f"README.md: a link that leads nowhere outside the site: {left[0]}")
    return text


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
    nb.cells = [c for c in nb.cells if c.cell_type != "raw" and (c.source or c.get("outputs"))]  # raw: front matter
    text, _ = MarkdownExporter().from_notebook_node(nb)
    text = re.sub(r"```python\s*```\n", "", text)  # the emptied cells
    text = re.sub(r"^</?div.*>\n", "", with_addresses(text), flags=re.M)  # the site's frames
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
