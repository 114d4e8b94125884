"Every recipe that starts from scratch trains: a few steps of each, at all its image sizes."
from dataclasses import replace

import pytest
import torch

from cifar10_nb.data import drawn
from cifar10_nb.parts.recipe import recipes
from cifar10_nb.train import Trainer


@pytest.mark.parametrize("name", [n for n, r in recipes.items() if not r.pretrained])
def test_a_few_steps(name):
    recipe = recipes[name]
    sizes = tuple(dict.fromkeys(recipe.sizes)) or (32,)
    short = replace(recipe, epochs=len(sizes), warmup=0, sizes=sizes, batch_size=20, patience=0)
    trainer = Trainer(short, drawn(40, 10)[0], device="cpu")
    before = {k: v.clone() for k, v in trainer.model.named_parameters()}
    seen = []
    trainer.model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[-1]) if trainer.model.training else None)
    run = trainer.fit()
    assert tuple(dict.fromkeys(seen)) == sizes
    assert run.epochs == len(sizes) and run.pflop > 0
    assert all(torch.isfinite(torch.tensor([row["train_loss"] for row in run.history])))
    moved = {k for k, v in run.model.named_parameters() if not torch.equal(v, before[k])}
    assert moved == {k for k, v in run.model.named_parameters() if v.requires_grad}
