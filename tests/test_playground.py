"The playground in the browser: the same bytes as the package's augmentations, and a page that can be used."
import base64
import random
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from test_pages import pages

from cifar10_nb import augment
from cifar10_nb.augment import Cutout, MixUp, Normalize, RandomCrop, flip_where
from cifar10_nb.data import cifar10_classes, cifar10_mean, cifar10_std
from cifar10_nb.parts.randaugment import geometric_map, ra_apply, ra_geometric, ra_ops, ra_signed, ra_strength
from cifar10_nb.parts.recipe import recipes
from cifar10_nb.sources.draw import draw_image

folder = pages.Path(__file__).parent.parent / "nbs"
pytestmark = pytest.mark.skipif(not pages.find_browser(), reason="needs Chromium or Chrome")
page = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Playground</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/styles.css"><link rel="stylesheet" href="/playground/playground.css">
<main><h1>Playground</h1><div id="play"></div></main><script type="module" src="/playground/playground.js"></script></html>"""
magnitudes = 0, 1, 4, 7, 11, 15, 20, 26, 30


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    "The page, open in a browser on a narrow screen, and what its console said."
    from playwright.sync_api import sync_playwright
    server, base = pages.serve(folder)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=pages.find_browser(), args=["--no-sandbox"])
        tab = browser.new_page(viewport=dict(width=390, height=844))
        tab.wrong = []
        tab.on("pageerror", lambda e: tab.wrong.append(str(e)))
        tab.on("console", lambda m: m.type == "error" and tab.wrong.append(m.text))
        tab.on("request", lambda r: r.url.startswith((base, "blob:", "data:")) or tab.wrong.append(r.url))
        tab.route(base + "playground.html", lambda route: route.fulfill(body=page, content_type="text/html"))
        tab.goto(base + "playground.html")
        tab.wait_for_selector("#play[data-ready]")
        yield tab
        assert tab.wrong == []
        browser.close()
    server.shutdown()


@pytest.fixture(scope="module")
def x():
    "Pictures, uint8 [17, 3, 32, 32]: ten drawn, noise of any level, of three levels and of few bright ones, even ones, ramps."
    rng = np.random.default_rng(0)
    drawn = [np.asarray(draw_image(c, random.Random(f"playground {c}"))).transpose(2, 0, 1) for c in cifar10_classes]
    noise = [rng.integers(0, 256, (3, 32, 32)), rng.integers(0, 256, (3, 32, 32)), rng.integers(0, 3, (3, 32, 32)), rng.integers(100, 140, (3, 32, 32))]
    other = [np.full((3, 32, 32), 77), np.where(rng.random((3, 32, 32)) < .9, 255, 3), np.arange(3072).reshape(3, 32, 32) % 256]
    return torch.from_numpy(np.stack(drawn + noise + other).astype(np.uint8))


def in_browser(tab, x, body):
    "What a JavaScript function body makes of each picture `x`, number `i`: a list of pictures. uint8 [results, pictures, 3, 32, 32]."
    data = tab.evaluate("""async ([text, body]) => {
        const ops = await import("/playground/ops.js"), chance = await import("/playground/chance.js")
        const all = Uint8Array.from(atob(text), c => c.charCodeAt(0)), n = all.length / 3072
        const pictures = Array.from({length: n}, (_, i) => all.slice(3072 * i, 3072 * (i + 1)))
        const change = new Function("ops", "chance", "x", "i", "pictures", body)
        const made = pictures.map((x, i) => change(ops, chance, x, i, pictures))
        if (pictures.some((x, i) => x.some((v, k) => v != all[3072 * i + k]))) throw new Error("a picture was changed in place")
        let said = ""
        for (let k = 0; k < made[0].length; k++) for (const results of made) {
            if (!(results[k] instanceof Uint8Array) || results[k].length != 3072) throw new Error("no picture")
            for (const v of results[k]) said += String.fromCharCode(v)
        }
        return btoa(said)
    }""", [base64.b64encode(x.numpy().tobytes()).decode(), body])
    return torch.frombuffer(bytearray(base64.b64decode(data)), dtype=torch.uint8).view(-1, *x.shape)


def same(ours, theirs): return [int(k) for k in (ours != theirs).flatten(1).any(1).nonzero()]


@pytest.mark.parametrize("op", ra_ops)
def test_an_operation_gives_the_same_bytes(tab, x, op):
    cases = [(m, sign) for m in magnitudes for sign in ((-1, 1) if op in ra_signed else (1,))]
    made = in_browser(tab, x, f"return {[list(c) for c in cases]}.map(([m, sign]) => ops.apply(x, '{op}', ops.amount('{op}', m, sign > 0)))")
    for (m, sign), theirs in zip(cases, made):
        ours = ra_apply(x, op, sign*ra_strength(op, m))
        # A slope of 0.2 takes a pixel or two from exactly between two others. Which of them it is, the CPU's matrix product decides.
        most = 2*3*len(x) if op.startswith("Shear") and m == 20 else 0
        assert (ours != theirs).sum() <= most, (op, m, sign)
    assert op == "Identity" or (made != x).any()


def test_every_strength_and_map(tab):
    "All 31 magnitudes, with both signs."
    said = tab.evaluate("""async () => {
        const {names, geometric, strength, map} = await import("/playground/ops.js"), all = Array.from({length: 31}, (_, m) => m)
        return [Object.fromEntries(names.map(op => [op, all.map(m => strength(op, m))])),
                Object.fromEntries(geometric.map(op => [op, all.flatMap(m => [-1, 1].map(sign => [...map(op, sign * strength(op, m))]))]))]
    }""")
    assert said[0] == {op: [ra_strength(op, m) for m in range(31)] for op in ra_ops}
    for op in ra_geometric:
        ours = [geometric_map(op, sign*ra_strength(op, m)) for m in range(31) for sign in (-1, 1)]
        ours = torch.stack([torch.where(inside > 0, source, -1) for source, inside in ours])
        differ = (ours != torch.tensor(said[1][op])).sum(1)
        on_edge = torch.tensor([2 if op.startswith("Shear") and m == 20 else 0 for m in range(31) for _ in "-+"])
        assert (differ <= on_edge).all(), (op, differ)


@pytest.mark.parametrize("padding, mode", [(4, "zero"), (2, "reflect"), (12, "reflect"), (0, "zero"), (12, "zero")])
def test_a_crop_gives_the_same_bytes(tab, x, padding, mode):
    places = sorted({(dy, dx) for dy in (0, 1, padding, 2*padding) for dx in (0, padding, 2*padding) if max(dy, dx) <= 2*padding})
    made = in_browser(tab, x, f"return {[list(p) for p in places]}.map(([dy, dx]) => ops.crop(x, dy, dx, {padding}, '{mode}'))")
    for (dy, dx), theirs in zip(places, made):
        ours = RandomCrop(padding, mode).crop(x, torch.full((len(x),), dy), torch.full((len(x),), dx))
        assert same(ours, theirs) == [], (dy, dx)


def test_a_flip_gives_the_same_bytes(tab, x):
    assert same(flip_where(x, torch.ones(len(x), dtype=torch.bool)), in_browser(tab, x, "return [ops.flip(x)]")[0]) == []


@pytest.mark.parametrize("fill", ["black", "mean"])
def test_cutout_gives_the_same_bytes(tab, x, fill, monkeypatch):
    cases = [(cy, cx, size) for cy, cx in ((0, 0), (31, 31), (16, 16), (3, 29), (20, 7)) for size in (0, 1, 7, 16, 32)]
    colour = "ops.meanColour" if fill == "mean" else "[0, 0, 0]"
    made = in_browser(tab, x, f"return {[list(c) for c in cases]}.map(([cy, cx, size]) => ops.cutout(x, cy, cx, size, {colour}))")
    for (cy, cx, size), theirs in zip(cases, made):
        centre = iter((cy, cx))
        monkeypatch.setattr(augment, "_randint", lambda high, shape, *args: torch.full(shape, next(centre)))
        ours = Cutout(size, tuple(255*m for m in cifar10_mean) if fill == "mean" else 0)(x)[0]
        assert same(ours, theirs) == [], (cy, cx, size)


@pytest.mark.parametrize("share", [0., .01, .1, .25, 1/3, .49, .5, .51, .7, .75, .9, .99, 1.])
def test_mixup_gives_the_same_bytes_and_label(tab, x, share, monkeypatch):
    "Each picture with the one before, by the package on float images that are bytes still, and on standardised ones."
    n = len(x)
    theirs = in_browser(tab, x, f"return [ops.mixup(x, pictures[(i + {n - 1}) % {n}], {share})]")[0]
    monkeypatch.setattr(augment, "symmetric_beta", lambda alpha, n, gen, device: torch.full((n,), share))
    monkeypatch.setattr(augment, "_randperm", lambda n, gen, device: torch.arange(n).roll(1))
    ours, y = MixUp(.2, n)(x.float(), torch.arange(n))
    assert same(ours.round().byte(), theirs) == []
    standard, _ = MixUp(.2, n)(Normalize(cifar10_mean, cifar10_std)(x)[0], torch.arange(n))
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (cifar10_mean, cifar10_std))
    back = ((standard*std + mean)*255).round()  # halves may fall to the other side there
    assert (back - theirs).abs().max() <= 1
    labels = tab.evaluate("""async ([share, n]) => { const {mixLabels} = await import("/playground/ops.js")
        return Array.from({length: n}, (_, i) => [...mixLabels(i, (i + n - 1) % n, share, n)]) }""", [share, n])
    assert torch.equal(torch.tensor(labels), y)


@pytest.mark.parametrize("seed", [0, 1, 5, 123456789, 2**32 - 1])
def test_the_recipe_final_draws_and_does_the_same(tab, x, seed):
    "A whole batch, by the recipe's own augmentation: random numbers, pictures and labels."
    n = 120
    batch, y = x[torch.arange(n) % len(x)], torch.arange(n) % 10
    plain = recipes["final"].augmentation(dict(classes=cifar10_classes, mean=(0, 0, 0), std=(1/255,)*3))
    ours, rows = plain(batch, y, torch.Generator().manual_seed(seed))
    theirs = in_browser(tab, batch, f"""const all = chance.draw({seed}, {n}), {{numbers, partner, share}} = all[i]
        const last = (x, numbers) => ops.steps(x, numbers).at(-1)[1]
        return [ops.mixup(last(x, numbers), last(pictures[partner], all[partner].numbers), share)]""")[0]
    assert same(ours.round().byte(), theirs) == []
    labels = tab.evaluate("""async ([seed, n]) => { const {mixLabels} = await import("/playground/ops.js"), {draw} = await import("/playground/chance.js")
        return draw(seed, n).map(({partner, share}, i) => [...mixLabels(i % 10, partner % 10, share, 10)]) }""", [seed, n])
    assert torch.equal(torch.tensor(labels), rows)


# --- the page

def pixels(tab, which=".play-large >> nth=1"):
    "The bytes on a canvas of the page, uint8 [3, 32, 32]; the picture after all changes."
    data = tab.eval_on_selector(which, "e => [...e.getContext('2d').getImageData(0, 0, 32, 32).data]")
    return torch.tensor(data, dtype=torch.uint8).view(32, 32, 4)[..., :3].permute(2, 0, 1)


def label(tab): return {e["name"]: float(e["p"]) for e in tab.eval_on_selector_all(".play-label .try-line", "lines => lines.map(l => ({...l.dataset}))")}


def move(tab, which, value):
    "Set a control, as a reader's hand does."
    tab.eval_on_selector(f"#play-{which}", """(e, value) => { e.type == "checkbox" ? e.checked = value : e.value = value
        for (const kind of ["input", "change"]) e.dispatchEvent(new Event(kind, {bubbles: true})) }""", value)


@pytest.fixture
def still(tab):
    "The page with the drawn cat, which nothing changes."
    tab.click("#play .try-samples button:nth-child(4)")
    tab.click("#play-reset")
    move(tab, "second", "8")
    return tab


def sample(name):
    at = 32*cifar10_classes.index(name)
    return torch.from_numpy(np.asarray(Image.open(folder / "images/samples.png").convert("RGB"))[:, at:at + 32].copy()).permute(2, 0, 1)


def test_nothing_changes_nothing(still):
    assert torch.equal(pixels(still), sample("cat")) and torch.equal(pixels(still, ".play-large >> nth=0"), sample("cat"))
    assert label(still) == {"cat": 1}


@pytest.mark.parametrize("controls", [dict(dx=3), dict(dy=-2), dict(padding=8, dx=8), dict(flip=True), dict(op0="Solarize", magnitude=12), dict(op1="Equalize"),
                                      dict(op0="Rotate", magnitude=30), dict(size=9), dict(size=16, cx=2, cy=30, fill="mean"), dict(dx=4, mode="reflect"), dict(share=70)])
def test_a_control_changes_the_picture(still, controls):
    for which, value in controls.items(): move(still, which, value)
    assert not torch.equal(pixels(still), sample("cat"))
    assert torch.equal(pixels(still, ".play-large >> nth=0"), sample("cat"))
    still.click("#play-reset")
    assert torch.equal(pixels(still), sample("cat"))


def test_the_controls_do_what_they_say(still):
    for which, value in dict(dx=3, dy=-1, flip=True, op0="ShearX", negative0=True, op1="Posterize", magnitude=9, size=10, cx=8, cy=20).items(): move(still, which, value)
    ours = flip_where(RandomCrop(4).crop(sample("cat")[None], torch.tensor([3]), torch.tensor([7])), torch.tensor([True]))
    ours = ra_apply(ra_apply(ours, "ShearX", -ra_strength("ShearX", 9)), "Posterize", ra_strength("Posterize", 9))
    ours[:, :, 15:25, 3:13] = 0
    assert torch.equal(pixels(still), ours[0])
    said = still.inner_text(".play-said")
    assert all(part in said for part in ("3 px right, 1 px up", "flip", "ShearX (slope −0.09)", "Posterize (keeps 7 of 8 bits)", "row 20, column 8")), said


def test_the_label_is_mixed(still):
    move(still, "share", 70)
    assert label(still) == {"cat": pytest.approx(.7), "ship": pytest.approx(.3)}
    assert still.inner_text(".play-label").split() == ["Label", "cat", "70%", "ship", "30%"]
    assert torch.equal(pixels(still), torch.lerp(sample("ship").float(), sample("cat").float(), .7).round().byte())
    move(still, "second", "3")
    assert label(still) == {"cat": 1} and torch.equal(pixels(still), sample("cat"))


def test_keys(still):
    "Every control is reached and moved without a mouse, and has a name."
    still.focus("#play-dx")
    still.keyboard.press("ArrowRight")
    assert not torch.equal(pixels(still), sample("cat"))
    still.focus("#play-flip")
    still.keyboard.press("Space")
    assert still.is_checked("#play-flip")
    still.focus("#play-dice")
    still.keyboard.press("Enter")
    named = "els => els.map(e => [e.id, e.labels?.[0]?.textContent || e.getAttribute('aria-label') || e.textContent])"
    names = still.eval_on_selector_all("#play :is(input, select, button)", named)
    assert len(names) > 40 and all(name.strip() for _, name in names), names
    assert all(still.eval_on_selector_all("#play canvas", "els => els.map(e => e.closest('button') || e.getAttribute('aria-label'))"))


def test_the_dice(still):
    "The twelve variants are those of Python, for the same batch and seed."
    move(still, "seed", 5)
    order = ["cat", *(c for c in cifar10_classes if c != "cat")]
    x = torch.stack([sample(c) for c in order for _ in range(12)])
    y = torch.tensor([cifar10_classes.index(c) for c in order for _ in range(12)])
    ours, rows = recipes["final"].augmentation(dict(classes=cifar10_classes, mean=(0, 0, 0), std=(1/255,)*3))(x, y, torch.Generator().manual_seed(5))
    for i in range(12):
        button = f".play-row button:nth-child({i + 1})"
        assert torch.equal(pixels(still, button + " canvas"), ours[i].round().byte())
        still.click(button)
        assert torch.equal(pixels(still), ours[i].round().byte()) and still.get_attribute(button, "aria-pressed") == "true"
        assert label(still) == pytest.approx({c: float(p) for c, p in zip(cifar10_classes, rows[i]) if p > 0})
    still.click("#play-dice")
    assert still.input_value("#play-seed") == "6"
    assert not torch.equal(pixels(still, ".play-row canvas >> nth=0"), ours[0].round().byte())


def test_own_picture(still, tmp_path):
    big = draw_image("horse", random.Random(1), 240).crop((0, 0, 240, 200))
    big.save(tmp_path / "big.png")
    (tmp_path / "note.txt").write_text("buy milk")
    small = torch.from_numpy(np.array(big.resize((32, 32), Image.Resampling.BICUBIC))).permute(2, 0, 1)
    for _ in range(2):  # the second replaces the first
        still.set_input_files("#play-file", tmp_path / "big.png")
        still.wait_for_function("document.querySelector('.play-label .try-line').dataset.name == 'your picture'")
    assert (pixels(still).int() - small).abs().max() <= 1 and still.locator("#play .try-samples button").count() == 11
    move(still, "share", 60)
    assert label(still) == {"your picture": pytest.approx(.6), "ship": pytest.approx(.4)}
    still.set_input_files("#play-file", tmp_path / "note.txt")
    still.wait_for_function("document.querySelector('.play-problem').textContent")
    assert "cannot read this as a picture" in still.inner_text(".play-problem")
    data = still.evaluate_handle("""async text => { const d = new DataTransfer(), bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0))
        d.items.add(new File([bytes], "dropped.png", {type: "image/png"})); return d }""", base64.b64encode(red()).decode())
    still.dispatch_event("#play .try-drop", "drop", dict(dataTransfer=data))
    still.wait_for_function("!document.querySelector('.play-problem').textContent")
    still.click("#play-reset")
    assert torch.equal(pixels(still), torch.tensor([200, 30, 40], dtype=torch.uint8).view(3, 1, 1).expand(3, 32, 32))


def red():
    "A red picture, as a PNG file."
    file = BytesIO()
    Image.new("RGB", (50, 40), (200, 30, 40)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("width", [390, 320, 1280])
def test_it_fits(still, width):
    still.set_viewport_size(dict(width=width, height=844))
    move(still, "op0", "TranslateX")
    assert still.evaluate("document.documentElement.scrollWidth") <= width
    assert still.eval_on_selector_all("#play *", "els => Math.max(...els.map(e => e.getBoundingClientRect().right))") <= width
    large = still.eval_on_selector_all(".play-large", "els => els.map(e => e.getBoundingClientRect().width)")
    assert min(large) >= (.4*width if width < 600 else 200)
    still.set_viewport_size(dict(width=390, height=844))
