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

from cifar10_nb.data import cifar10_classes
from cifar10_nb.lab.export import to_onnx
from cifar10_nb.record.run import load_model, shipped_weights
from cifar10_nb.sources.draw import draw_image

argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()

runtime = "onnxruntime-web@1.30.0"
files = "ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"
place = Path(__file__).resolve().parent.parent / "nbs" / "try"



def halve(path):
    "Keep the large constants of an ONNX file in 16 bits, if that loses nothing, and let it widen them when it is loaded."
    import numpy
    import onnx
    from onnx import helper, numpy_helper
    model = onnx.load(path)
    for old in [c for c in model.graph.initializer if c.data_type == onnx.TensorProto.FLOAT and len(c.raw_data) > 4096]:
        half = numpy_helper.to_array(old).astype(numpy.float16)
        if (half.astype(numpy.float32) != numpy_helper.to_array(old)).any(): continue
        model.graph.initializer.remove(old)
        model.graph.initializer.append(numpy_helper.from_array(half, old.name + "_16"))
        model.graph.node.insert(0, helper.make_node("Cast", [old.name + "_16"], [old.name], to=onnx.TensorProto.FLOAT))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


model = load_model(shipped_weights(), "cpu")
halve(to_onnx(model, place / "model.onnx"))
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
