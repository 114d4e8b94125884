"""Claim: the peak learning rates and the warm-up of the recipes `final` and `resnet` (stages 4 and 3).

Chosen on held-out training images (5,000 of 50,000), first with a quarter of the network's channels, 10 epochs, each with the whole
schedule; the best two rates with a second seed. Then the best rate and half of it with the whole network, 8 epochs. With SGD the
whole network learned worse than the narrow one at both, so it tries a lower rate for its last layer (`head_lr`), too; the lesson
"Training" says why. All trials are filed in results/trials/rates, the losers too.

n: one seed for each rate, two for the best two. Machine: any; on two CPU cores with bfloat16 a trial takes 8 minutes, with the whole
network 55; in single precision two and a half times as long.

    python trials/rates.py final --data cifar10
    python trials/rates.py resnet --data cifar10
    python trials/rates.py final --data cifar10 --width full
"""
from dataclasses import replace
from statistics import mean

from held_out import options, search_rates, training_images, trial

from cifar10_nb.lab.studies import last_valid
from cifar10_nb.parts.recipe import get_recipe

rates = dict(final=(0.05, 0.15, 0.3, 0.6), resnet=(5e-4, 1e-3, 2e-3, 4e-3))
slow = dict(head_lr=0.1)  # the last layer at a tenth of the rate
whole = dict(  # of the whole network: rates, and what else changes
    final=((0.6, {}), (0.3, {}), (0.3, slow), (0.6, slow), (0.15, slow)), resnet=((8e-3, {}), (4e-3, {})))


def arm(name, lr, width="quarter", **changes):
    "A recipe to try: `name` with another rate, at another width and length. Its name says what differs."
    epochs = 10 if width == "quarter" else 8
    model = "resnet18_quarter" if width == "quarter" else "resnet18_cifar"
    recipe = get_recipe(name, epochs=epochs, model=model, lr=lr, head_lr=1.0, patience=0)
    recipe = replace(recipe, **dict(warmup=epochs / 10) | changes)
    told = "".join(f" {field} {value:g}" if field == "warmup" else f" {field} {value}" for field, value in changes.items())
    return replace(recipe, name=f"{name} {width} {epochs} epochs lr {lr:g}{told}")


def best_two(found):
    "The two rates of best held-out accuracy with the first seed, the best first; `found` holds the accuracies of each rate's seeds."
    return sorted(found, key=lambda lr: -found[lr][0])[:2]


def search(name, images, work, seeds=2):
    "Accuracies of the seeds of each rate, at a quarter of the width; a best rate at the edge of the range widens it."
    runs = search_rates(lambda lr: trial("rates", arm(name, lr), 0, images, work), rates[name])
    found = {lr: [last_valid(run)] for lr, run in runs.items()}
    for lr in best_two(found):
        found[lr] += [last_valid(trial("rates", arm(name, lr), seed, images, work)) for seed in range(1, seeds)]
    if (best := best_rate(found)) == max(found):
        found[2 * best] = [last_valid(trial("rates", arm(name, 2 * best), seed, images, work)) for seed in range(seeds)]
    return found


def best_rate(found):
    "The rate of best mean held-out accuracy, of those with more than one seed."
    return max((lr for lr in found if len(found[lr]) > 1), key=lambda lr: mean(found[lr]))


def main():
    parser = options(__doc__)
    parser.add_argument("recipe", choices=rates)
    parser.add_argument("--width", choices=("quarter", "full"), default="quarter")
    told = parser.parse_args()
    images = training_images(told.data)
    if told.width == "full":
        for lr, changes in whole[told.recipe]:
            trial("rates", arm(told.recipe, lr, "full", **changes), 0, images, told.work)
        return
    found = search(told.recipe, images, told.work)
    if told.recipe == "final":  # other things that the original does not name, at the better of the two
        best = best_rate(found)
        for warmup in (0.5, 2.0): trial("rates", arm("final", best, warmup=warmup), 0, images, told.work)
        for changes in (dict(cutout_fill="mean"), slow):
            for seed in (0, 1): trial("rates", arm("final", best, **changes), seed, images, told.work)


if __name__ == "__main__": main()
