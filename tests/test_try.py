"The page that classifies a picture in the browser: the same answers as Python's. Needs what tools/web.py puts beside it."
import random

import pytest
from PIL import Image
from test_pages import pages

from cifar10_nb.evaluate import predict
from cifar10_nb.record.run import load_model, shipped_weights
from cifar10_nb.sources.draw import draw_image

folder = pages.Path(__file__).parent.parent / "nbs"
pytestmark = [pytest.mark.skipif(not pages.find_browser(), reason="needs Chromium or Chrome"),
              pytest.mark.skipif(not (folder / "try/ort").is_dir(), reason="needs python tools/web.py")]
page = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Try it</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/styles.css"><main><h1>Try it</h1><div id="try"></div></main>
<script type="module" src="/try/try.js"></script></html>"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    "Files of many kinds, by name."
    root, big = tmp_path_factory.mktemp("pictures"), draw_image("horse", random.Random(1), 240)
    for name in ("airplane", "cat", "frog", "ship"): draw_image(name, random.Random(name), 32).save(root / f"{name}.png")
    big.save(root / "big.png")
    big.resize((3000, 2500)).save(root / "huge.png", compress_level=1)
    big.crop((20, 0, 150, 240)).save(root / "tall.png")
    big.convert("L").save(root / "grey.png")
    big.quantize(32).save(root / "palette.png")
    big.resize((9, 7)).save(root / "tiny.png")
    clear = big.convert("RGBA")
    clear.putalpha(Image.new("L", big.size, 255).point(lambda v: 255))
    clear.paste((0, 0, 0, 0), (0, 0, 120, 240))
    clear.save(root / "transparent.png")
    exif = Image.Exif(); exif[0x0112] = 6
    big.transpose(Image.Transpose.ROTATE_90).save(root / "turned.jpg", exif=exif, quality=95)
    (root / "note.txt").write_text("buy milk")
    return root


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    "The page, open in a browser, and what its console said."
    from playwright.sync_api import sync_playwright
    server, base = pages.serve(folder)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=pages.find_browser(), args=["--no-sandbox"])
        tab = browser.new_page(viewport=dict(width=390, height=900))
        tab.wrong = []
        tab.on("pageerror", lambda e: tab.wrong.append(str(e)))
        tab.on("console", lambda m: m.type == "error" and tab.wrong.append(m.text))
        tab.on("request", lambda r: r.url.startswith((base, "blob:", "data:")) or tab.wrong.append(r.url))
        tab.route(base + "try.html", lambda route: route.fulfill(body=page, content_type="text/html"))
        tab.goto(base + "try.html")
        tab.wait_for_selector(".try-samples button:nth-child(10)")
        yield tab
        browser.close()
    server.shutdown()


def answer(tab):
    "The classes on the page with their probabilities, once it is done."
    tab.wait_for_selector(".try-answer[data-done]")
    return {e["name"]: float(e["p"]) for e in tab.eval_on_selector_all(".try-line", "lines => lines.map(l => ({...l.dataset}))")}


def upload(tab, path):
    tab.eval_on_selector(".try-answer", "e => e.removeAttribute('data-done')")
    tab.set_input_files("#try-file", path)
    return answer(tab)


@pytest.mark.parametrize("name", ["airplane.png", "cat.png", "frog.png", "ship.png", "big.png", "huge.png", "tall.png", "grey.png", "palette.png", "tiny.png",
                                  "transparent.png", "turned.jpg"])
def test_the_same_answers_as_python(tab, pictures, name):
    model = load_model(shipped_weights(), "cpu")
    said, ours = upload(tab, pictures / name), dict(predict(model, [pictures / name], 10)[0])
    assert len(said) == 5 and list(said.values()) == sorted(said.values(), reverse=True)
    # decoders of JPEG differ a little; Pillow 13 resizes tall pictures downwards first, and a thousand bytes change by one
    close = {"tall.png": 0.03, "turned.jpg": 0.03}.get(name, 2e-3)
    assert all(abs(p - ours[k]) < close for k, p in said.items()), (said, ours)
    assert max(said, key=said.get) == max(ours, key=ours.get)
    assert float(tab.get_attribute(".try-answer", "data-ms")) < 1000
    assert tab.wrong == []


def test_a_sample(tab):
    tab.eval_on_selector(".try-answer", "e => e.removeAttribute('data-done')")
    tab.click(".try-samples button:nth-child(7)")
    assert len(answer(tab)) == 5 and tab.wrong == []


def test_no_picture(tab, pictures):
    assert upload(tab, pictures / "note.txt") == {}
    assert "cannot read this as a picture" in tab.inner_text(".try-answer") and tab.wrong == []
    assert len(upload(tab, pictures / "cat.png")) == 5  # and it goes on


def test_a_narrow_screen(tab, pictures):
    upload(tab, pictures / "big.png")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390


def test_dropped(tab, pictures):
    tab.eval_on_selector(".try-answer", "e => e.removeAttribute('data-done')")
    data = tab.evaluate_handle("""async () => { const d = new DataTransfer()
        d.items.add(new File([await fetch("/try/samples/ship.png").then(r => r.blob())], "ship.png", {type: "image/png"})); return d }""")
    tab.dispatch_event(".try-drop", "drop", dict(dataTransfer=data))
    assert len(answer(tab)) == 5 and tab.wrong == []
