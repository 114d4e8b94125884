"""Claim: what it brings to freeze the first block of `speed` for the last third of a run (stage 5).

The block's learning rate falls to zero in a line by two thirds of the run. From then on its weights, its norms and their statistics
stay exactly as they are, and no gradient is calculated for it. The arithmetic that this saves is spent on more epochs, so that both
arms have the same cost in PFLOP. Held-out accuracy, 45,000 training images. All trials are filed in results/trials/frozen_block.

n: three seeds of each arm. Machine: any; a trial takes ten minutes on two idle CPU cores with bfloat16.

    python trials/frozen_block.py --data cifar10
"""
from dataclasses import replace

from held_out import options, training_images, trial

from cifar10_nb.machine.graphs import set_rate
from cifar10_nb.models import flops_per_image, make_model
from cifar10_nb.parts.recipe import get_recipe, lr_at, value_at


class FreezeFirst:
    "Let the first block's rate fall to zero by `share` of the run, and freeze the block for the rest."
    def __init__(self, share): self.share = share

    def before_fit(self, t):
        self.block, self.groups = t.model.block1, []
        own = set(self.block.parameters())
        for o in t.optimizers:
            for group in list(o.param_groups):
                first = [p for p in group["params"] if p in own]
                if not first: continue
                group["params"] = [p for p in group["params"] if p not in own]
                o.add_param_group({**group, "params": first})
                self.groups.append(o.param_groups[-1])

    def before_step(self, t):
        last = round(self.share * t.recipe.epochs)  # of those in which the block learns
        if t.epoch >= last: return freeze(t.model)
        done = (t.epoch + t.batches.done / len(t.batches)) * t.steps
        lr = lr_at(replace(t.recipe, epochs=last), done, t.steps)
        for group in self.groups: set_rate(group, lr * group.get("share", 1))


def freeze(model):
    "Keep the first block exactly as it is: its weights, its norms and their statistics."
    model.freeze = True  # so that the cost of an image is looked at again
    model.block1.eval()
    for p in model.block1.parameters(): p.grad, p.requires_grad = None, False


def cost(recipe, share=1.0):
    "Operations for an image of the training set, over all epochs, when the first block is frozen at `share` of them."
    total = 0
    for e in range(recipe.epochs):
        model = make_model(recipe.model)
        if e >= round(share * recipe.epochs): freeze(model)
        total += flops_per_image(model, recipe.size_at(e, 32), training=True) * value_at(recipe.hardest, e, recipe.epochs)
    return total


def arms():
    "`speed` as it is, with images held out, and frozen: the number of epochs whose cost is nearest."
    plain, share = get_recipe("speed", valid=0.1), 2 / 3
    frozen = [replace(plain, epochs=n) for n in range(plain.epochs, 2 * plain.epochs)]
    nearest = min(frozen, key=lambda r: abs(cost(r, share) - cost(plain)))
    return ((replace(plain, name="speed"), []), (replace(nearest, name="speed first block frozen"), [FreezeFirst(share)]))


def main():
    told = options(__doc__).parse_args()
    images = training_images(told.data)
    for seed in range(3):
        for recipe, hooks in arms(): trial("frozen_block", recipe, seed, images, told.work, hooks)


if __name__ == "__main__": main()
