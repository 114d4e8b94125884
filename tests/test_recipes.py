"Every recipe that starts from scratch trains: a few steps of each, at all its image sizes."
from dataclasses import replace

import pytest
import torch

from cifar10_nb.core import InputError
from cifar10_nb.data import drawn
from cifar10_nb.models import summary
from cifar10_nb.parts.recipe import Recipe, get_recipe, read_recipe, recipes
from cifar10_nb.parts.score import predict_logits
from cifar10_nb.record.run import weights_bytes
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


@pytest.mark.parametrize("changed", [dict(lr="0.1"), dict(decay_all="no"), dict(sizes=24), dict(randaugment=9), dict(epochs=True), dict(batch_size=8.5)])
def test_a_value_of_another_type_is_refused(changed):
    with pytest.raises(InputError, match=f"^{next(iter(changed))} is .*: it must be "): Recipe(**changed)


@pytest.mark.parametrize("name", recipes)
def test_its_own_length_leaves_a_recipe_as_it_is(name):
    assert get_recipe(name, epochs=recipes[name].epochs) == recipes[name]
    assert get_recipe(name, name="mine") == replace(recipes[name], name="mine")


def test_a_mark_in_front_of_a_file(tmp_path):
    (tmp_path / "mine.json").write_text('{"lr": 0.1}', encoding="utf-8-sig")
    assert read_recipe(tmp_path / "mine.json").lr == 0.1


def test_scoring_leaves_a_network_in_training():
    "So a hook may look at the network inside an epoch."
    images, recipe = drawn(60, 10)[0], replace(recipes["small"], epochs=1, warmup=0, sizes=(), batch_size=20, valid=0.0)
    class Peek:
        def after_step(self, t, index, losses): predict_logits(t.model, images)
    ends = [weights_bytes(Trainer(recipe, images, device="cpu", hooks=hooks).fit().model) for hooks in ([], [Peek()])]
    assert ends[0] == ends[1]


def test_what_belongs_to_no_layer_is_in_the_total():
    class Own(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.shift = torch.nn.Conv2d(3, 4, 1), torch.nn.Parameter(torch.zeros(4))
        def forward(self, x): return self.conv(x).mean((2, 3)) + self.shift
    assert summary(Own()).parameters == 20 and summary(Own())[-1][0] == "(others)"
