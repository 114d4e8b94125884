"""Copy the repository and let nbdev make `_proc` in the copy, from which Quarto renders the site.

    python tools/stage.py SITE

SITE is a folder that does not exist yet. tools/pages.py looks at what is in it.
"""
import argparse
import shutil
import subprocess
import sys
from pathlib import Path

root = Path(__file__).resolve().parent.parent
steps = """
from nbdev.quarto import refresh_quarto_yml
from nbdev.serve import proc_nbs
refresh_quarto_yml()
proc_nbs(force=True, n_workers=1)
"""

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("site", type=Path)
site = parser.parse_args().site
if site.exists(): sys.exit(f"{site} is there already: name a folder that is not")
left_out = "_proc", "_docs", "build", "dist", "runs", "__pycache__", ".ipynb_checkpoints"
shutil.copytree(root, site, symlinks=True, ignore=shutil.ignore_patterns(*left_out))
subprocess.run([sys.executable, "-W", "ignore", "-c", steps], cwd=site, check=True)
notebooks = [p.relative_to(site / "nbs") for p in (site / "nbs").rglob("*.ipynb")]
missing = [str(path) for path in notebooks if not (site / "_proc" / path).exists()]
sys.exit(f"not staged: {', '.join(missing)}" if missing else 0)
