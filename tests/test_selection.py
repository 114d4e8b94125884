"Example selection: nothing is skipped before all has been seen, and the order of the files decides nothing."
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from cifar10_nb.data import ImageSet, drawn
from cifar10_nb.parts.hooks import Hardest
from cifar10_nb.parts.recipe import Recipe, get_recipe, recipes
from cifar10_nb.data import some_of
from cifar10_nb.train import fit


class Seen:
    "How often each image was trained on, epoch by epoch."
    def __init__(self): self.counts = {}
    def after_step(self, t, index, losses):
        self.counts.setdefault(t.epoch, torch.zeros(len(t.train), dtype=torch.int64))[index.cpu()] += 1


def in_order_of_class(n):
    "Images as a folder has them whose files are called cat_001.png, dog_001.png: first all of one class, then all of the other."
    x = torch.randint(256, (2 * n, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return ImageSet(x, torch.arange(2 * n) // n, ["cat", "dog"], "folder:pets")


def test_a_recipe_cut_short_sees_both_classes():
    seen, images = Seen(), in_order_of_class(40)
    fit(get_recipe("quick", epochs=1, batch_size=10, micro_batch=0), images, device="cpu", hooks=[seen])
    assert seen.counts[0].tolist() == [1] * 80


@pytest.mark.parametrize("hardest", [(0.5,), (0.3, 0.3), (1, 0.4), (0.1,)])
@pytest.mark.parametrize("n, batch", [(29, 16), (80, 10), (33, 8), (7, 16)])
def test_nothing_is_skipped_before_everything_was_seen(hardest, n, batch):
    "What the last, incomplete batch of an epoch left out is among the images of the next."
    seen, chosen = Seen(), []
    class Chosen:
        order = 1
        def before_epoch(self, t): chosen.append(set(range(n) if t.batches.subset is None else t.batches.subset.tolist()))
    recipe = replace(recipes["small"], epochs=4, batch_size=batch, sizes=(), hardest=hardest)
    fit(recipe, drawn(n, 10)[0], device="cpu", hooks=[seen, Chosen()])
    never = set(range(n))
    for epoch, picked in enumerate(chosen):
        assert never <= picked, f"epoch {epoch + 1}"
        never -= set(seen.counts[epoch].nonzero().flatten().tolist())


def choice(losses, share, seed, epoch=1):
    "The images that are chosen after these losses."
    n = len(losses)
    t = SimpleNamespace(recipe=Recipe(batch_size=1, epochs=4, hardest=(1, share, share, share)), train=range(n), device="cpu",
        epoch=epoch, seed=seed, batches=SimpleNamespace(subset=None))
    hook = Hardest()
    hook.before_fit(t)
    hook.after_step(t, torch.arange(n), torch.tensor(losses))
    hook.before_epoch(t)
    return t.batches.subset.tolist()


def test_ties_are_broken_by_the_seed():
    "Images of equal loss are as likely to be chosen, wherever they stand."
    some = [choice([1.0] * 40 + [1.0] * 40, 0.5, seed) for seed in range(40)]
    assert some == [choice([1.0] * 80, 0.5, seed) for seed in range(40)] and len({*map(tuple, some)}) == 40
    assert choice([1.0] * 80, 0.5, 0, epoch=2) != some[0]
    first = [sum(i < 40 for i in picked) / 40 for picked in some]
    assert 0.4 < sum(first) / len(first) < 0.6 and 0.1 < min(first) <= max(first) < 0.9


def test_without_ties_the_losses_alone_decide():
    assert [choice([0.1, 2.0, 0.3, 1.0, 0.2, 3.0], 0.5, seed) for seed in range(5)] == [[1, 3, 5]] * 5
    assert [choice([0.1, 2.0, 0.3, 2.0, 0.2, math.inf], 0.5, seed) for seed in range(5)] == [[1, 3, 5]] * 5  # a tie, but no choice


@pytest.mark.parametrize("n", [20, 6000])
def test_the_whitening_layer_looks_at_every_class(n):
    "It looks at 5,000 images, and those of a folder may stand in the order of their classes."
    images = in_order_of_class(n)
    looked = torch.cat([images.y[(images.x == x).flatten(1).all(1)] for x in some_of(images)[:: 1 + n // 20]])
    assert looked.unique().tolist() == [0, 1]
    mixed = images.subset(torch.randperm(2 * n, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(some_of(mixed), mixed.x[:5000])
