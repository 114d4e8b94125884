"""Claim: how fast the network of `final`, a ResNet-18, learns with the means of `small` and `speed` (stage 5).

Crops by two pixels, an alternating flip, progressive resizing and a linear decay, for twelve epochs: with Muon and, for comparison, with
`final`'s SGD, so that both cost the same in PFLOP. First with a quarter of the network's channels, three rates each; the best rate of
each with three seeds. Then both with the whole network. Held-out accuracy, 45,000 training images. All trials are filed in
results/trials/resnet_fast, the losers too.

n: one seed a rate, three for the best ones; with the whole network three of Muon and one of SGD. Machine: any; on two idle CPU cores
with bfloat16 a trial takes six minutes, with the whole network an hour.

    python trials/resnet_fast.py --data cifar10
    python trials/resnet_fast.py --data cifar10 --width full
"""
from dataclasses import replace

from held_out import options, search_rates, training_images, trial

from cifar10_nb.lab.studies import last_valid
from cifar10_nb.parts.recipe import get_recipe, recipes

rates = dict(muon=(0.05, 0.1, 0.2), sgd=(0.15, 0.3, 0.6))
seeds = dict(quarter=dict(muon=3, sgd=3), full=dict(muon=3, sgd=1))
as_final = {name: getattr(recipes["final"], name) for name in ("optimizer", "momentum", "weight_decay", "head_lr")}


def arm(optimizer, lr, width="quarter"):
    "`small` with a ResNet-18 in place of its network; its name says what differs."
    model = "resnet18_quarter" if width == "quarter" else "resnet18_cifar"
    recipe = get_recipe("small", model=model, valid=0.1, lr=lr)
    if optimizer == "sgd": recipe = replace(recipe, warmup=recipe.epochs / 10, **as_final)
    if optimizer == "sgd" and width == "quarter": recipe = replace(recipe, head_lr=1.0)  # the narrow network needs no slower last layer
    return replace(recipe, name=f"{optimizer} {width} lr {lr:g}")


def best_rate(optimizer, images, work):
    "The rate of best held-out accuracy with a quarter of the channels, one seed each."
    found = search_rates(lambda lr: trial("resnet_fast", arm(optimizer, lr), 0, images, work), rates[optimizer])
    return max(found, key=lambda lr: last_valid(found[lr]))


def main():
    parser = options(__doc__)
    parser.add_argument("--width", choices=seeds, default="quarter")
    told = parser.parse_args()
    images = training_images(told.data)
    for optimizer, n in seeds[told.width].items():
        lr = best_rate(optimizer, images, told.work)
        for seed in range(n): trial("resnet_fast", arm(optimizer, lr, told.width), seed, images, told.work)


if __name__ == "__main__": main()
