"""Claim: what each idea brings between the recipes `final` and `speed` (stage 5).

Each step changes the newest recipe that was kept, in the fields that `steps` names, and looks for its own learning rate: that of
the step below, half of it and twice of it, and further as long as the best rate is the last one tried. Five epochs on 10,000 images,
judged on 5,000 held-out training images. The best rate of a step runs with a second seed, and the step is kept if it does not lower
the mean. All trials are filed in results/trials/cumulative.

n: one seed a rate, two for the best rate of each step. Machine: any; two hours on two idle CPU cores with bfloat16.

    python trials/cumulative.py --data cifar10
"""
from dataclasses import replace

from held_out import options, search_rates, training_images, trial

from cifar10_nb.lab.studies import cumulative, last_valid
from cifar10_nb.parts.recipe import get_recipe, recipes

speed = recipes["speed"]
steps = (
    ("final, cut short", dict(epochs=5, warmup=1.0, images=10_000, patience=0)),
    ("crop and flip only", dict(randaugment=(), cutout=0, mixup=0.0)),
    ("SpeedCNN", dict(model="speed_cnn_plain")),
    ("whitening", dict(model="speed_cnn_whitened")),
    ("Dirac initialisation", dict(model="speed_cnn")),
    ("alternating flip", dict(flip="alternating")),
    ("crop by 2 pixels", dict(crop=2)),
    ("reflected borders", dict(crop_mode="reflect")),
    ("linear decay", dict(schedule="linear")),
    ("short warm-up", dict(warmup=0.2)),
    ("Muon", {k: getattr(speed, k) for k in ("optimizer", "lr", "head_lr", "momentum", "rest_lr", "weight_decay")}),
    ("Dirac initialisation, again", dict(model="speed_cnn")),
    ("three Newton-Schulz steps", dict(ns_steps=3)),
    ("higher rate for biases", dict(bias_lr=speed.bias_lr)),
    ("batches of 1000", dict(batch_size=1000)),
    ("EMA of the weights", dict(ema=0.9)),
    ("no label smoothing", dict(label_smoothing=0.0)),
    ("RandAugment(1, 5)", dict(randaugment=(1, 5))),
    ("progressive resizing", dict(sizes=(24, 24, 24, 28, 32))),
    ("example selection", dict(hardest=(1, 1, 0.7, 0.7, 0.7))),
)


def try_step(arm, images, work):
    "Look for the rate of a step, and run the best one with a second seed; gives all its runs."
    def run(lr, seed=0): return trial("cumulative", replace(arm, name=f"{arm.name}, lr {lr:g}", lr=lr), seed, images, work)
    found = search_rates(run, (arm.lr / 2, arm.lr, arm.lr * 2))
    return [*found.values(), run(max(found, key=lambda lr: last_valid(found[lr])), seed=1)]


def main():
    told = options(__doc__).parse_args()
    images, base, runs = training_images(told.data), get_recipe("final"), []
    for number, (name, changes) in enumerate(steps, 1):
        arm = replace(base, name=f"{number:02} {name}", **changes)
        if replace(arm, name=base.name) == base: continue  # kept already
        runs += try_step(arm, images, told.work)
        if (row := cumulative(runs)[-1])["kept"]: base = replace(arm, lr=row["lr"])


if __name__ == "__main__": main()
