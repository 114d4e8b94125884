"cifar10_file, cifar10_compare and cifar10_ablate as a user runs them; runs are made by hand, weights in an epoch on drawn images."
import json
import shutil
import subprocess
import sys
from dataclasses import asdict, replace

import pytest
import torch
from conftest import one_line
from conftest import run as run_script
from conftest import run_here as run

from cifar10_nb.core import InputError
from cifar10_nb.data import drawn
from cifar10_nb.lab import bench as bench_module
from cifar10_nb.lab import results as results_module
from cifar10_nb.lab import studies as studies_module
from cifar10_nb.lab.figures import _points
from cifar10_nb.lab.headlines import headline_sentence
from cifar10_nb.lab.report import held_out_images
from cifar10_nb.lab.results import (compare_run, is_current, label, load_bench, load_results, recipe_digest, result_path,
    result_table, results_folder, split_earlier, standing)
from cifar10_nb.lab.studies import arms, cumulative, ladder, studies
from cifar10_nb.parts.recipe import Recipe, recipes
from cifar10_nb.record.run import read_run

def put(folder, base, top1, seed, **other):
    "A run like `base` in `folder`, with another accuracy and seed."
    d = dict(base, seed=seed, commit="c0ffee", test=dict(base["test"], top1=top1), **other)
    d.pop("out", None)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps(d))


@pytest.fixture(scope="module")
def filed(here, trained):
    "Three runs on file with accuracies of 0.3, 0.32 and 0.34, and one alone in `single`."
    for s, top1 in enumerate((0.30, 0.32, 0.34)): put(here / f"r{s}", trained, top1, s)
    done = run_script("cifar10_file", "r0", "r1", "r2", cwd=here)
    assert done.returncode == 0, done.stderr
    assert run("cifar10_file", "r0", "--results", "single", cwd=here).returncode == 0
    return done.stdout.splitlines()


def test_file_says_where(here, filed):
    assert len(filed) == 3 and all((here / f).is_file() for f in filed)
    digest = recipe_digest(replace(recipes["small"], epochs=2, batch_size=20, warmup=json.loads((here / filed[2]).read_text())["recipe"]["warmup"]))
    assert filed[2].startswith(f"results/small/{digest}_folder-images_cpu-") and filed[2].endswith("/seed02.json")
    assert json.loads((here / filed[2]).read_text()) == json.loads((here / "r2/run.json").read_text())


def test_file_replaces_only_when_told(here, filed):
    put(here / "again", json.loads((here / "r1/run.json").read_text()), 0.5, 1)
    args = ("cifar10_file", "again", "--results", "single2")
    assert run("cifar10_file", "r1", "--results", "single2", cwd=here).returncode == 0
    one_line(run(*args, cwd=here), "cifar10_file: ", "holds another run", "--replace")
    assert run(*args, "--replace", cwd=here).returncode == 0
    assert json.loads(next((here / "single2").rglob("*.json")).read_text())["test"]["top1"] == 0.5


@pytest.mark.parametrize("top1, results, within", [(0.33, "results", True), (0.6, "results", False), (0.6, "single", None)])
def test_fresh_run(here, trained, filed, top1, results, within):
    put(here / "fresh", trained, top1, 9, seconds=7.0)
    done = run_script("cifar10_compare", "fresh", "--results", results, "--json", cwd=here)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["within"] is within and said["n"] == (1 if within is None else 3)
    assert said["speed"]["seconds"]["run"] == 7.0
    text = run("cifar10_compare", "fresh", "--results", results, cwd=here).stdout
    assert {True: "within the spread", False: "OUTSIDE", None: "no spread is known"}[within] in text


def test_other_device_has_no_speed(here, trained, filed):
    put(here / "abacus", trained, 0.33, 9, device=dict(trained["device"], name="Abacus"))
    assert json.loads(run("cifar10_compare", "abacus", "--results", "results", "--json", cwd=here).stdout)["speed"] is None


@pytest.mark.parametrize("timed", [True, False])
def test_untimed_run_has_no_speed(here, trained, filed, timed):
    put(here / "busy", trained, 0.33, 9, timed=timed)
    done = run("cifar10_compare", "busy", "--results", "results", "--json", cwd=here)
    assert (json.loads(done.stdout)["speed"] is not None) is timed
    table = result_table([json.loads((here / "busy/run.json").read_text())])
    assert ("not timed" in table) is not timed and ("GFLOP/s" in table)


def test_paths_say_what_is_in_them():
    for kind in ("", *studies):
        top, runs = results_folder() / kind, load_results(kind)
        assert runs or kind == "ablation_long", "nothing is filed"  # that one is still to be run
        assert all((top / result_path(r)).is_file() for r in runs)
        assert len({result_path(r) for r in runs}) == len(runs), "two files of one run"
    files = {p for p in results_folder().rglob("seed*.json") if "trials" not in p.parts}
    assert len(files) == sum(len(load_results(kind)) for kind in ("", *studies)) > 100


@pytest.mark.parametrize("study", studies)
def test_a_filed_study_has_the_arms_of_today(study):
    found = {(r["recipe"]["name"], recipe_digest(r["recipe"])) for r in load_results(study)}
    assert found <= {(name, recipe_digest(arm)) for name, arm in studies[study].items()}


def test_no_path_moves_when_a_recipe_does(monkeypatch):
    runs = load_results()
    before, names = [result_path(r) for r in runs], [label(r) for r in runs]
    count = len(split_earlier(runs)[0])
    for name, recipe in [*recipes.items()]: monkeypatch.setitem(recipes, name, replace(recipe, lr=recipe.lr * 1.01))
    assert [result_path(r) for r in runs] == before and [label(r) for r in runs] != names
    assert not any(map(is_current, runs)) and split_earlier(runs) == (runs, [])  # nothing of today's recipes is on file
    for name in [*recipes]: monkeypatch.delitem(recipes, name)
    assert [result_path(r) for r in runs] == before and count < len(runs)


def test_digests():
    assert recipe_digest(Recipe()) == recipe_digest({}) == recipe_digest(Recipe(name="x")) == recipe_digest(dict(lr=0.1, sizes=[]))
    assert recipe_digest(Recipe(clip=1)) == recipe_digest(dict(clip=1.0)) != recipe_digest(Recipe(clip=2))
    assert len({recipe_digest(r) for r in recipes.values()}) == len(recipes)


def test_an_installed_package_brings_its_results(here, monkeypatch):
    package, counts = here / "site-packages/cifar10_nb", [len(load_results()), len(load_results("ladder")), len(load_bench("ceiling"))]
    shutil.copytree(results_folder(), package / "filed")
    monkeypatch.setattr(results_module, "files", lambda name: package)
    monkeypatch.chdir(here)
    assert results_folder() == package / "filed"
    assert [len(load_results()), len(load_results("ladder")), len(load_bench("ceiling"))] == counts


def test_compare_takes_the_project_s_results(here, trained):
    base = load_results()[0]
    put(here / "known", base, base["test"]["top1"] + 0.0001, 77)
    said = json.loads(run("cifar10_compare", "known", "--json", cwd=here).stdout)
    assert said["recipe"] == label(base) and said["n"] >= 1


def test_two_weights(here, trained):
    args = ("--data", "images", "--epochs", 1, "--batch-size", 20, "--seed", 5, "--out", "second")
    assert run("cifar10_train", *args, cwd=here).returncode == 0
    done = run("cifar10_compare", "first", "second/model.safetensors", "--data", "images", "--json", cwd=here)
    assert done.returncode == 0, done.stderr
    said, runs = json.loads(done.stdout), [json.loads((here / f / "run.json").read_text()) for f in ("first", "second")]
    assert said["top1"] == [r["test"]["top1"] for r in runs] and said["n"] == 50 and len(said["classes"]) == 10 and 0 < said["p"] <= 1
    assert said["low"] <= said["difference"] <= said["high"]
    assert said["only_b"] - said["only_a"] == round(50 * said["difference"])
    assert "McNemar" in run("cifar10_compare", "first", "second", "--data", "images", cwd=here).stdout
    done = run("cifar10_compare", "first", "first", "--data", "images", "--tta", "flip", "--json", cwd=here)
    same = json.loads(done.stdout)
    assert (same["difference"], same["p"], same["tta"]) == (0, 1, "flip")


def test_weights_of_other_classes(here, trained):
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            (here / "pets" / part / name).mkdir(parents=True)
            for f in sorted((here / "images" / part / name).iterdir())[:5]: shutil.copy(f, here / "pets" / part / name)
    done = run("cifar10_train", "--data", "pets", "--epochs", 1, "--batch-size", 5, "--out", "pet", cwd=here)
    assert done.returncode == 0, done.stderr
    one_line(run("cifar10_compare", "first", "pet", "--data", "images", cwd=here), "first and pet know different classes")
    one_line(run("cifar10_compare", "pet", "pet", "--data", "images", cwd=here), "these weights know other classes")


@pytest.mark.parametrize("command, args, words", [
    ("cifar10_compare", (), ("runs",)),
    ("cifar10_compare", ("nowhere",), ("there is no run at nowhere",)),
    ("cifar10_compare", ("images",), ("there is no run at images",)),
    ("cifar10_compare", ("first/model.safetensors",), ("model.safetensors is no JSON file",)),
    ("cifar10_compare", ("first", "--results", "empty"), ("is on file",)),
    ("cifar10_compare", ("first", "second", "third"), ("3 names",)),
    ("cifar10_compare", ("first", "nowhere"), ("no weights at nowhere",)),
    ("cifar10_compare", ("first", "first", "--tta", "twice"), ("'twice'", "none, flip, full")),
    ("cifar10_compare", ("first", "first", "--data", "gone"), ("gone",)),
    ("cifar10_compare", ("untested",), ("no test scores",)),
    ("cifar10_compare", ("foreign",), ("not written by cifar10_train",)),
    ("cifar10_compare", ("first", "--results", "foreign"), ("foreign/run.json was not written by cifar10_train",)),
    ("cifar10_file", ("untested",), ("no test scores",)),
    ("cifar10_file", ("changed",), ("uncommitted changes",)),
    ("cifar10_file", ("untraced",), ("names no commit",)),
    ("cifar10_file", ("nowhere",), ("there is no run at nowhere",)),
])
def test_mistakes(here, trained, command, args, words):
    bad = dict(untested=dict(test={}), changed=dict(commit="c0ffee+changes"), untraced=dict(commit=""))
    for name, change in bad.items():
        (here / name).mkdir(exist_ok=True)
        (here / name / "run.json").write_text(json.dumps(dict(trained, **change)))
    (here / "foreign").mkdir(exist_ok=True)
    (here / "foreign/run.json").write_text('{"recipe": "soup"}')
    one_line(run(command, *args, cwd=here), f"{command}: ", *words)
    assert not (here / "empty").exists()


@pytest.mark.parametrize("command, options", [("cifar10_compare", ("--results", "--data", "--tta", "--json")),
                                              ("cifar10_file", ("--results", "--replace"))])
def test_help(here, command, options):
    done = run(command, "--help", cwd=here)
    assert not done.returncode and all(o in done.stdout for o in options)


def test_ablation(here, monkeypatch):
    few = {name: replace(arms[name], epochs=1, batch_size=20) for name in ("all", "no MixUp")}
    monkeypatch.setitem(studies, "ablation", few)
    args = ("cifar10_ablate", "--data", "images", "--seeds", 2)
    first = run(*args, cwd=here)
    assert first.returncode == 0, first.stderr
    rows = first.stdout.strip().splitlines()[2:]
    assert [row.split(" | ")[1] for row in rows] == ["2", "2"] and rows[0].startswith("| all |") and " to " in rows[1]
    kept = {p: p.stat().st_mtime_ns for p in (here / "runs/ablation").rglob("run.json")}
    assert len(kept) == 4
    (here / "runs/ablation/all-seed0/run.json").unlink()
    (here / "runs/ablation/all-seed0/model.safetensors").unlink()
    assert run(*args, cwd=here).stdout == first.stdout  # one is trained again and gives the same, three are not
    assert sum(p.stat().st_mtime_ns == t for p, t in kept.items()) == 3
    one_line(run(*args[:1], "--data", "drawn", "--seeds", 1, cwd=here), "holds", "--out")
    one_line(run("cifar10_ablate", "--seeds", 0, cwd=here), "--seeds is 0")
    one_line(run("cifar10_ablate", "--study", "lader", cwd=here), "no study is called 'lader'", "ladder")
    steps = {name: (replace(r, epochs=1, warmup=0, batch_size=20, model="small_cnn"), base) for name, (r, base) in [*ladder.items()][:2]}
    monkeypatch.setattr(studies_module, "ladder", steps)
    monkeypatch.setitem(studies, "ladder", {name: r for name, (r, _) in steps.items()})
    done = run("cifar10_ablate", "--data", "images", "--study", "ladder", "--seeds", 1, cwd=here)
    assert done.returncode == 0, done.stderr
    assert [row.split(" | ")[0][2:] for row in done.stdout.strip().splitlines()[2:]] == [*steps]


def test_all_tables_can_be_made(tmp_path):
    subprocess.run([sys.executable, results_folder().parent / "tools/tables.py", "--save", tmp_path / "tables.txt"], check=True)
    titles = [line for line in (tmp_path / "tables.txt").read_text(encoding="utf-8").splitlines() if line.startswith("## ")]
    assert {"## results: main", "## study: ablation", "## study: ladder"} <= {*titles} and "## bench: ceiling" in "".join(titles)


def run_of(recipe, top1, **other):
    "A run that never was, of CIFAR-10 on two threads."
    score = dict(loss=0.5, top1=top1, top5=0.99, tta="full")
    return dict(dict(recipe=json.loads(json.dumps(asdict(recipe))), seed=0, source="cifar10", n_train=48_000, epochs=recipe.epochs, seconds=100.0, images_per_s=1.0,
                     pflop=0.1, timed=True, device=dict(type="cpu", name="Abacus", threads=2, precision="fp32"), versions=dict(torch="2.9"), test=score, test_tta=score,
                     digests={}), **other)


def test_cifar100_is_not_cifar10():
    run = run_of(recipes["transfer"], 0.9, source="cifar100")
    assert standing([run], "transfer") == ([], "run") and "cifar100" in result_table([run], brief=True)


def test_a_longer_run_lacks_no_length():
    longer = [run_of(replace(recipes["speed"], epochs=18), 0.943, seed=s) for s in range(3)]
    assert standing(longer, "speed") == (longer, "settings")
    assert standing([run_of(replace(recipes["speed"], epochs=9), 0.9), *longer], "speed")[1] == "settings"


def test_the_sentence_needs_no_timed_run():
    assert headline_sentence([run_of(recipes["speed"], 0.94, timed=False)]) == ""
    assert "94.0%" in headline_sentence([run_of(recipes["speed"], 0.94)])


def test_other_images_of_the_same_name_are_not_compared():
    a, b = (run_of(recipes["small"], 0.9, source="folder:pets", seed=s, digests=dict(train=d)) for s, d in enumerate("ab"))
    with pytest.raises(InputError, match="is on file"): compare_run(b, [a])
    assert compare_run(dict(b, digests=a["digests"]), [a])["n"] == 1


def test_one_point_a_recipe():
    runs = [run_of(replace(recipes["small"], name="mine", lr=lr), lr) for lr in (0.1, 0.2)]
    assert len(_points(runs, "pflop")) == 2


def test_the_chosen_rate_has_a_second_seed():
    at = lambda lr, seed, top1: run_of(replace(recipes["small"], name=f"01 step, lr {lr:g}", lr=lr), 0, seed=seed, history=[dict(valid_top1=top1)])
    (row,) = cumulative([at(0.1, 0, 0.8), at(0.2, 0, 0.8), at(0.2, 1, 0.7)])
    assert row["lr"] == 0.2 and len(row["scores"]) == 2


@pytest.mark.parametrize("what, lost", [("recipe", "name"), ("device", "type"), ("test", "top5")])
def test_a_run_with_a_hole(here, trained, tmp_path, what, lost):
    run = json.loads((here / "first/run.json").read_text())
    del run[what][lost]
    (tmp_path / "run.json").write_text(json.dumps(run))
    with pytest.raises(InputError, match=f"{what} has no {lost}"): read_run(tmp_path)


def test_overhead_of_a_file_and_without_an_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_module, "overhead", lambda recipe, *_, **__: recipe.lr)
    monkeypatch.setattr(bench_module, "find_spec", lambda name: None)
    (tmp_path / "mine.json").write_text('{"lr": 0.125}')
    assert list(bench_module.benchmarks("overhead", torch.device("cpu"), str(tmp_path / "mine.json"))["recipes"].values()) == [0.125]
    assert bench_module.benchmarks("overhead", torch.device("cpu"))["recipes"].keys() == recipes.keys() - {"transfer_lite", "transfer_lite_frozen"}


def test_no_temperature_where_nothing_is_known_to_be_held_out():
    train, model = drawn(100, 10)[0], torch.nn.Identity()
    held = recipes["final"].hold_out(train)[1]
    for info, found in ((dict(), False), (dict(held_out="others"), False), (dict(held_out=held.digest()), True)):
        model.info = dict(info, recipe=asdict(recipes["final"]))
        assert bool(held_out_images(model, train)[0]) is found
