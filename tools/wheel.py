"""Build sdist and wheel, install the wheel alone, and look whether everything is in it.

    python tools/wheel.py DIST

In an empty folder, every module of the package can be imported from the wheel, the weights that come with it open, the
results are those of the repository, and the commands are there.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

root = Path(__file__).resolve().parent.parent
inside = """
import importlib, json, sys
from pathlib import Path
import cifar10_nb
from cifar10_nb.lab.results import load_bench, load_results, results_folder
from cifar10_nb.record.run import load_model, shipped_weights
package = Path(cifar10_nb.__file__).parent
modules = sorted(".".join(p.relative_to(package.parent).with_suffix("").parts) for p in package.rglob("*.py"))
for name in modules:
    if not name.endswith(("__init__", "__main__", "_modidx")): importlib.import_module(name)
load_model(shipped_weights(), "cpu")
filed = sorted(p.relative_to(results_folder()).as_posix() for p in results_folder().rglob("*.json"))
runs = [len(load_results(kind)) for kind in ("", "ablation", "ladder", "trials/rates")] + [len(load_bench("ceiling"))]
print(json.dumps(dict(place=str(package.parent), modules=modules, filed=filed, runs=runs)))
"""


def told(place, folder):
    "What the package in a folder says of itself, asked from another folder."
    done = subprocess.run([sys.executable, "-c", inside], cwd=folder, env=os.environ | dict(PYTHONPATH=str(place)),
                          capture_output=True, text=True)
    if done.returncode: sys.exit(f"{place}: {done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def build(dist):
    "Build both files; prints what the build said if it failed."
    done = subprocess.run([sys.executable, "-m", "build", "--outdir", str(dist), "."], cwd=root, capture_output=True, text=True)
    if done.returncode: sys.exit("\n".join((done.stdout + done.stderr).splitlines()[-30:]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dist", type=Path, help="where the two files go")
    dist = parser.parse_args().dist.resolve()
    build(dist)
    with tempfile.TemporaryDirectory() as empty, tempfile.TemporaryDirectory() as alone:
        wheel, = dist.glob("*.whl")
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", alone, str(wheel)], check=True)
        installed, here = (told(place, empty) for place in (alone, root))
        assert installed["place"] == str(Path(alone).resolve()), f"another package was asked: {installed['place']}"
        for what in ("modules", "filed", "runs"):
            assert installed[what] == here[what], f"{what}: {installed[what]}, not {here[what]}"
        run = min((root / "results/small").rglob("seed00.json"))
        command = [sys.executable, str(Path(alone, "bin/cifar10_compare")), str(run)]
        subprocess.run(command, cwd=empty, env=os.environ | dict(PYTHONPATH=alone), check=True)
    print(f"{len(here['modules'])} modules and {len(here['filed'])} results are in the wheel")


if __name__ == "__main__": main()
