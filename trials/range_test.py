"""Claim: a range test of a hundred steps is a good guide for the recipe `resnet` (AdamW) and a bad one for `final` (SGD with a warm-up).

It was made to show that 0.05 is far too small a rate for `final`. It does not: it recommends about that.

Two range tests (`lr_find`), of `final` (SGD) and `resnet` (AdamW), on the training images that they do not hold out, with a quarter
of the network's channels. Filed in results/trials/range_test; stage 4 shows them beside the searches of trials/rates.py.

n: one seed each. Machine: any; a test takes about two minutes on two idle CPU cores in single precision.

    python trials/range_test.py --data cifar10
"""
import argparse
import json
from dataclasses import asdict

from held_out import root, training_images

from cifar10_nb.core import write_atomic
from cifar10_nb.parts.recipe import get_recipe
from cifar10_nb.train import lr_find


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", default="cifar10", help="as for cifar10_train")
    images = training_images(parser.parse_args().data)
    for name, low, high in (("final", 1e-3, 10.0), ("resnet", 1e-5, 0.1)):
        recipe = get_recipe(name, model="resnet18_quarter", patience=0)
        test = lr_find(recipe, recipe.hold_out(images)[0], low, high, device="cpu")
        found = dict(recipe=asdict(recipe), rates=test.rates[:len(test.losses)], losses=test.losses)
        write_atomic(root / f"results/trials/range_test/{name}.json", (json.dumps(found, indent=1) + "\n").encode())
        print(name, "steps:", len(test.losses), "lowest smoothed loss:", f"{min(test.smoothed()):.2f}", flush=True)


if __name__ == "__main__": main()
