"""The rows of the result table that need a GPU, in one go, on a machine that has one:

    python tools/gpu.py DATA_FOLDER OUT_FOLDER [--commit HASH] [--minutes M] [RECIPE[,FIELD=NUMBER...]:SEEDS[:MODE] ...]

DATA_FOLDER holds train/<class>/* and test/<class>/*. Nothing is installed: torch, torchvision and the package's other
requirements have to be there. One process trains them all, so the images are read once and a network is compiled once.
Finished runs are not trained again: the same command goes on after an interruption. MODE is one of
torch.compile, FIELD a field of the recipe: speed,epochs=10,micro_batch=0:20:default. --commit is for a copy without .git: it is
written into the runs. File them afterwards: cifar10_file OUT_FOLDER/*/seed*.
"""
import argparse
import math
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import torch

from cifar10_nb.commands import cifar10_bench
from cifar10_nb.core import InputError
from cifar10_nb.data import open_data
from cifar10_nb.jobs import run_one
from cifar10_nb.machine.device import pick_device
from cifar10_nb.parts.recipe import get_recipe, read_fields

table = ["speed,micro_batch=0:20:default", "quick:5", "small:5", "speed95:20:default", "speed96:20:default", "final:3",
         "resnet:3", "scratch:5", "transfer:2"]  # transfer: if its weights are in torch's cache folder


def parsed(row):
    "Recipe, number of seeds, mode of torch.compile and name of the folder of a row; raises `InputError`."
    try:
        what, seeds, mode = row.split(":") if row.count(":") > 1 else (*row.split(":"), "")
        name, *changed = what.split(",")
        place = "-".join(filter(None, (name, *(c.replace("=", "") for c in changed), mode)))
        seeds = int(seeds)
    except ValueError as e: raise InputError(f"{row!r} is no row: --help says what one looks like") from e
    return get_recipe(name, **read_fields(changed)), seeds, mode, place


def train_rows(rows, images, given):
    "Train what is not yet there; the folders of runs that were not done."
    (train, test), end = images, time.monotonic() + 60 * given.minutes
    for recipe, seeds, mode, place in rows:
        torch.compiler.reset()  # what it keeps of networks is limited
        for seed in range(seeds):
            folder = given.out / place / f"seed{seed}"
            if time.monotonic() > end and not (folder / "run.json").exists():
                yield str(folder)
                continue
            try: run = run_one(recipe, train, test, seed, "cuda", folder, str(given.data.resolve()), mode, math.inf)
            except (InputError, RuntimeError) as e:
                yield f"{folder} ({e})"
                continue
            print(f"{folder}: {run.test['top1']:.2%}, with TTA {run.test_tta['top1']:.2%}, {run.seconds:.2f} s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("rows", nargs="*", help="what to train; all rows of the table if not given")
    parser.add_argument("--commit", default="")
    parser.add_argument("--minutes", type=float, default=1e9, help="after so many no further run is begun")
    given = parser.parse_args()
    if given.commit: os.environ["CIFAR10_NB_COMMIT"] = given.commit
    try:
        pick_device("cuda")
        rows = [parsed(row) for row in given.rows or table]
        images = open_data(str(given.data))
    except InputError as e:
        print(f"gpu: {e}", file=sys.stderr)
        sys.exit(2)
    failed = [*train_rows(rows, images, given)]
    if not given.rows:
        for what in ("ceiling", "scaling", "overhead"): cifar10_bench(what, device="cuda", out=str(given.out / "bench"))
    for name in failed: print("not done:", name)
    sys.exit(bool(failed))


if __name__ == "__main__": main()
