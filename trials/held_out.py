"""What the trials share: train a recipe on the training images that are not held out, judge it on those that are.

No test image is looked at. A trial that was interrupted goes on where it was when the script is started again; one that is filed
already is not trained again.
"""
import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from cifar10_nb.core import InputError, write_atomic
from cifar10_nb.data import open_data
from cifar10_nb.lab.results import recipe_digest
from cifar10_nb.lab.studies import last_valid
from cifar10_nb.machine.device import slug
from cifar10_nb.record.checkpoint import Checkpoints, checkpoints
from cifar10_nb.train import Trainer

root = Path(__file__).resolve().parent.parent


def options(doc):
    "A parser of the options that all trials have; `doc` is the script's own documentation."
    parser = argparse.ArgumentParser(description=doc.split("\n")[0])
    parser.add_argument("--data", default="cifar10", help="as for cifar10_train")
    parser.add_argument("--work", default="runs/trials", help="folder for checkpoints")
    return parser


def file_of(kind, recipe, seed):
    "Where a trial's result is filed: a file like run.json, without test scores."
    return root / "results/trials" / kind / f"{slug(recipe.name)}_seed{seed}.json"


def settings_of(recipe, source):
    "What a filed trial must have in common with one that is asked for."
    return recipe_digest(recipe), source.removesuffix(" (folder)")


def trial(
    kind: str,   # name of the folder in results/trials
    recipe,      # Recipe; its name tells it apart from the other trials of its kind
    seed: int,   # of the run
    images,      # ImageSet: the training images, of which the recipe's share is held out
    work,        # folder for checkpoints
    hooks=(),    # what the trial adds to the loop
) -> dict:  # like run.json, without test scores
    "The result of a trial, trained now or filed before."
    path, folder = file_of(kind, recipe, seed), Path(work) / file_of(kind, recipe, seed).stem
    if path.exists():
        filed = json.loads(path.read_text(encoding="utf-8"))
        if settings_of(filed["recipe"], filed["source"]) == settings_of(asdict(recipe), images.source): return filed
        sys.exit(f"{path} holds a trial with other settings or images: remove it first")
    trainer = Trainer(recipe, *recipe.hold_out(images), seed, "cpu", [*hooks, Checkpoints(folder)])
    trainer.timed = False  # trials share the machine with other work
    run = trainer.fit()
    write_atomic(path, (json.dumps(run.to_dict(), indent=1) + "\n").encode())
    for checkpoint in checkpoints(folder): checkpoint.unlink()
    print(f"{recipe.name}, seed {seed}: {last_valid(run.to_dict()):.2%} of {run.n_valid:,} held-out images", flush=True)
    return run.to_dict()


def search_rates(
    run,          # what trains at a rate: lr -> dict like run.json
    rates: list,  # to begin with
) -> dict:  # lr -> dict like run.json
    "Runs at some rates, and up to two more, while the best is the highest or the lowest."
    found = {lr: run(lr) for lr in rates}
    for _ in range(2):
        best = max(found, key=lambda lr: last_valid(found[lr]))
        if best == max(found): found[2 * best] = run(2 * best)
        if best == min(found): found[best / 2] = run(best / 2)
    return found


def training_images(
    data: str,  # a source, as for open_data
):
    "The training images of a source; the test images are put away unseen."
    try: return open_data(data)[0]
    except InputError as e:
        print(e, file=sys.stderr)
        sys.exit(2)
