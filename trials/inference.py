"""Claim: how fast the networks are in use, on two CPU cores, in PyTorch and exported.

`small`, `speed` and, beside them, torchvision's ResNet-18 at the same 32 pixels: each from bytes to probabilities (`Deployed`), in
batches of 1, 32 and 500, in turns, in one sitting. The ways: PyTorch as it is, compiled by `torch.compile`, ONNX in single precision,
ONNX in eight bits. Then `predict` on JPEG files of 240x240 pixels, which have to be decoded and squeezed first. Filed in
results/bench/inference_DEVICE.json; the page on export shows it.

n: 9 rounds. Machine: two idle CPU cores; it takes three minutes.

    python trials/inference.py
"""
import random
import tempfile
import time
from pathlib import Path

import torch
from torchvision.models import resnet18

from cifar10_nb.core import progress_bar
from cifar10_nb.data import cifar10_classes, cifar10_mean, cifar10_std, drawn
from cifar10_nb.evaluate import predict
from cifar10_nb.lab.bench import file_bench, machine
from cifar10_nb.lab.export import Deployed, open_onnx, to_int8, to_onnx
from cifar10_nb.machine.device import prepare_device
from cifar10_nb.machine.timing import Timer
from cifar10_nb.models import make_model
from cifar10_nb.sources.draw import draw_image

root, cpu, rounds = Path(__file__).resolve().parent.parent, torch.device("cpu"), 9
repeats = {1: 50, 32: 10, 500: 1}  # batch -> calls in a round


def network(name):
    "An untrained network, which takes as long as a trained one."
    torch.manual_seed(0)
    model = resnet18(num_classes=10) if name == "resnet18" else make_model(name)
    model.info = dict(classes=cifar10_classes, size=32, mean=list(cifar10_mean), std=list(cifar10_std))
    return model.to(memory_format=torch.channels_last).eval()


def ways_of(model, folder):
    "Name of a way -> a function from a uint8 batch to probabilities."
    eager, whole = Deployed(model), to_onnx(model, folder / "whole.onnx")
    small = to_int8(whole, folder / "int8.onnx", drawn(50, 10)[0].x)
    return {"PyTorch": eager, "torch.compile": torch.compile(eager, dynamic=False), "ONNX": open_onnx(whole), "ONNX, int8": open_onnx(small)}


def timed(works, calls):
    """Seconds of a call in each round, by name, in turns.

    A runtime's threads go on spinning for some milliseconds and hold up the next one: hence a pause, and a call that does not count.
    """
    taken = {name: [] for name in works}
    for name, work in [*works.items()] * rounds:
        time.sleep(0.2)
        work()
        timer = Timer(cpu)
        with timer:
            for _ in range(calls): work()
        taken[name].append(timer.seconds / calls)
    return taken


@torch.no_grad()
def main():
    prepare_device(cpu)
    torch._dynamo.config.recompile_limit = 64  # one program for each network and batch
    seconds, models = {}, {name: network(name) for name in ("small_cnn", "speed_cnn", "resnet18")}
    with tempfile.TemporaryDirectory() as d:
        ways = {}
        for name, model in models.items():
            (folder := Path(d, name)).mkdir()
            ways |= {f"{name}, {way}": run for way, run in ways_of(model, folder).items()}
        for batch, calls in progress_bar(repeats.items(), desc="batches"):
            x = torch.randint(256, (batch, 3, 32, 32), dtype=torch.uint8)
            for name, found in timed({name: lambda run=run: run(x) for name, run in ways.items()}, calls).items():
                seconds.setdefault(name, {})[batch] = found
        files = [Path(d, f"{i}.jpg") for i in range(500)]
        for i, path in enumerate(files): draw_image(cifar10_classes[i % 10], random.Random(i), 240).save(path)
        for batch in repeats:
            works = {f"{name}, predict": lambda model=model: predict(model, files[:batch]) for name, model in models.items()}
            for name, found in timed(works, 1).items(): seconds.setdefault(name, {})[batch] = found
    print(file_bench(dict(what="inference", machine=machine(cpu), rounds=rounds, seconds=seconds), root / "results/bench"))


if __name__ == "__main__": main()
