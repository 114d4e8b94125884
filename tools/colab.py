"""Give each notebook a link to Colab, and a cell that installs the package where it is missing.

    python tools/colab.py                      all notebooks of nbs/
    python tools/colab.py nbs/00_data.ipynb    some of them
    python tools/colab.py --check              do all have both? Exit code 1 if not

Both stand after the title. The link is a line of text: a badge would be a picture from another host. The cell is hidden on
the site; it does nothing where the package can be imported. Addresses come from settings.ini.
"""
import argparse
import json
import sys
from configparser import ConfigParser
from pathlib import Path

root = Path(__file__).resolve().parent.parent
left_out = "index.ipynb", "ko.ipynb"  # the home page and the Korean one: they link to what can be run


def settings():
    "What settings.ini says."
    config = ConfigParser()
    config.read(root / "settings.ini", encoding="utf-8")
    return config["DEFAULT"]


def cells(path):
    "The two cells that a notebook needs: its link and its installer."
    cfg, source = settings(), path.resolve().relative_to(root).as_posix()
    href = f"https://colab.research.google.com/github/{cfg['user']}/{cfg['repo']}/blob/{cfg['branch']}/{source}"
    install = ("#| hide\n# in Colab, or wherever the package is not installed yet\ntry: import cifar10_nb\nexcept ImportError:\n"
               f"    %pip install -q git+{cfg['git_url']}")
    return (dict(cell_type="markdown", id="c01ab001", metadata={},
                 source=[f'<a class="colab" href="{href}">Open in Colab</a>']),
            dict(cell_type="code", execution_count=None, id="c01ab002", metadata={}, outputs=[],
                 source=install.splitlines(keepends=True)))


def with_cells(path):
    "The text of a notebook with both cells after its title, whatever it had of them before."
    nb, ours = json.loads(path.read_text(encoding="utf-8")), cells(path)
    others = [c for c in nb["cells"] if c.get("id") not in [cell["id"] for cell in ours]]
    title = next((i for i, c in enumerate(others) if c["cell_type"] == "markdown" and "".join(c["source"]).startswith("# ")), None)
    if title is None: sys.exit(f"{path}: no cell begins with a title")
    nb["cells"] = [*others[:title + 1], *ours, *others[title + 1:]]
    return json.dumps(nb, indent=1, ensure_ascii=False) + "\n"


def notebooks():
    "All that get both cells."
    return [p for p in sorted((root / "nbs").rglob("*.ipynb"))
            if ".ipynb_checkpoints" not in p.parts and str(p.relative_to(root / "nbs")) not in left_out]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", type=Path, help="all of nbs/ if not given")
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    args = parser.parse_args()
    paths = args.notebooks or notebooks()
    if not args.check:
        for path in paths: path.write_text(with_cells(path), encoding="utf-8")
    elif wrong := [str(p) for p in paths if p.read_text(encoding="utf-8") != with_cells(p)]:
        sys.exit("\n".join([*wrong, "no link to Colab, or no installer: run python tools/colab.py"]))


if __name__ == "__main__": main()
