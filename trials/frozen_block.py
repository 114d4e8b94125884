"""Claim: what it brings to freeze the first block of `speed` for the last third of a run (stage 5).

The block's learning rate falls to zero in a line by two thirds of the run. From then on its weights, its norms and their statistics
stay exactly as they are, and no gradient is calculated for it. The arithmetic that this saves is spent on more epochs, so that both
arms have the same cost in PFLOP. Held-out accuracy, 45,000 training images. All trials are filed in results/trials/frozen_block.

n: three seeds of each arm. Machine: any; a trial takes ten minutes on two idle CPU cores with bfloat16.

    python trials/frozen_block.py --data cifar10
"""
from dataclasses import replace
from functools import cache

from held_out import options, training_images, trial

from cifar10_nb.machine.graphs import set_rate
from cifar10_nb.models import flops_per_image, make_model
from cifar10_nb.parts.recipe import get_recipe, lr_at, value_at


class FreezeFirst:
    "Let the first block's rate fall to zero in the first `last` epochs, and freeze the block for the rest."
    def __init__(self, last): self.last = last

    def before_fit(self, t):
        self.own = own = set(t.model.block1.parameters())
        for o in t.optimizers:
            for group in list(o.param_groups):
                first = [p for p in group["params"] if p in own]
                if not first: continue
                group["params"] = [p for p in group["params"] if p not in own]
                o.add_param_group({**group, "params": first})

    def before_step(self, t):
        if t.epoch >= self.last: return freeze(t.model)
        done = (t.epoch + (t.batches.done - 1) / len(t.batches)) * t.steps  # this batch counts as done already
        lr = lr_at(replace(t.recipe, epochs=self.last), done, t.steps)
        for group in (group for o in t.optimizers for group in o.param_groups):  # a resumed run has new ones
            if group["params"] and group["params"][0] in self.own: set_rate(group, lr * group.get("share", 1))


def freeze(model):
    "Keep the first block exactly as it is: its weights, its norms and their statistics."
    model.freeze = True  # so that the cost of an image is looked at again
    model.block1.eval()
    for p in model.block1.parameters(): p.grad, p.requires_grad = None, False


@cache
def cost_of_image(name, size, frozen):
    "Operations to train a network on an image."
    model = make_model(name)
    if frozen: freeze(model)
    return flops_per_image(model, size, training=True)


def cost(recipe, last):
    "Operations for an image of the training set, over all epochs, when the first block learns in the first `last` of them."
    return sum(cost_of_image(recipe.model, recipe.size_at(e, 32), e >= last) * value_at(recipe.hardest, e, recipe.epochs)
               for e in range(recipe.epochs))


def arms():
    "`speed` as it is, with images held out, and frozen: the number of epochs whose cost is nearest."
    plain = get_recipe("speed", valid=0.1)
    whole, learns = cost(plain, plain.epochs), lambda r: round(2 / 3 * r.epochs)
    frozen = [replace(plain, name="speed first block frozen", epochs=n) for n in range(plain.epochs, 2 * plain.epochs)]
    nearest = min(frozen, key=lambda r: abs(cost(r, learns(r)) - whole))
    return (plain, []), (nearest, [FreezeFirst(learns(nearest))])


def main():
    told = options(__doc__).parse_args()
    images = training_images(told.data)
    for seed in range(3):
        for recipe, hooks in arms(): trial("frozen_block", recipe, seed, images, told.work, hooks)


if __name__ == "__main__": main()
