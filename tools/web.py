"""Put beside nbs/try/try.js what it loads: the network as an ONNX file, drawn samples, and onnxruntime-web from npm.

    python tools/web.py

Needs npm, and `pip install -e '.[export]'`. Nothing of it is committed. Quarto copies it into the site.
"""
import argparse
import json
import random
import subprocess
import tarfile
import tempfile
from pathlib import Path

import numpy
import onnx
from onnx import helper, numpy_helper

from cifar10_nb.data import cifar10_classes, drawn
from cifar10_nb.lab.export import disagreement, open_onnx, to_onnx
from cifar10_nb.record.run import load_model, shipped_weights
from cifar10_nb.sources.draw import draw_image

argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()

runtime = "onnxruntime-web@1.30.0"
files = "ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"
place = Path(__file__).resolve().parent.parent / "nbs" / "try"


def halve(path):
    "Keep the large constants of an ONNX file in 16 bits; they are widened when it is loaded."
    network = onnx.load(path)
    large = [c for c in network.graph.initializer if c.data_type == onnx.TensorProto.FLOAT and len(c.raw_data) > 4096]
    for old in large:
        half = numpy_helper.to_array(old).astype(numpy.float16)
        network.graph.initializer.remove(old)
        network.graph.initializer.append(numpy_helper.from_array(half, f"{old.name}_16"))
        network.graph.node.insert(0, helper.make_node("Cast", [f"{old.name}_16"], [old.name], to=onnx.TensorProto.FLOAT))
    onnx.checker.check_model(network, full_check=True)
    onnx.save(network, path)


model = load_model(shipped_weights(), "cpu")
halve(to_onnx(model, place / "model.onnx"))
assert disagreement(model, open_onnx(place / "model.onnx"), drawn(10, 1000)[1].x) < 2e-3  # of the probabilities
(place / "model.json").write_text(json.dumps(dict(classes=model.info["classes"], size=model.info["size"])))
(place / "samples").mkdir(exist_ok=True)
for name in cifar10_classes: draw_image(name, random.Random(f"try {name}"), 112).save(place / "samples" / f"{name}.png")

(place / "ort").mkdir(exist_ok=True)
if not all((place / "ort" / name).exists() for name in files):
    with tempfile.TemporaryDirectory() as folder:  # npm compares the package with the digest that its registry gives
        said = subprocess.run(["npm", "pack", runtime, "--silent"], cwd=folder, check=True, capture_output=True, text=True).stdout
        with tarfile.open(Path(folder, said.strip().splitlines()[-1])) as tar:
            for name in files: (place / "ort" / name).write_bytes(tar.extractfile(f"package/dist/{name}").read())
print(*sorted(str(p.relative_to(place)) for p in place.rglob("*") if p.is_file()))
