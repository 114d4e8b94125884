"""Claim: the learning rate of the recipe `transfer_lite` (stage 1).

Fine-tuning at 128 instead of 224 pixels, for the recipe's four epochs, on 45,000 training images; chosen on the 5,000 held-out ones.
All trials are filed in results/trials/transfer, the losers too.

n: one seed for each of three rates. Machine: any; a trial takes half an hour on two idle CPU cores. Needs the extra `transfer`.

    python trials/transfer.py --data cifar10
"""
from dataclasses import replace

from held_out import options, training_images, trial

from cifar10_nb.parts.recipe import get_recipe

rates = 2e-4, 5e-4, 1e-3


def arm(lr):
    "`transfer_lite` at 128 pixels with another rate; the name says which."
    recipe = get_recipe("transfer_lite", model="efficientnet_lite0_128", lr=lr)
    return replace(recipe, name=f"transfer_lite 128 lr {lr:g}")


def main():
    told = options(__doc__).parse_args()
    images = training_images(told.data)
    for lr in rates: trial("transfer", arm(lr), 0, images, told.work)


if __name__ == "__main__": main()
