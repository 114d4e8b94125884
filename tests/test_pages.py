"Each check of the rendered site (tools/pages.py) can fail: a small site with one mistake a page."
import importlib.util
import json
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="needs pip install -e '.[site]'")
path = Path(__file__).parent.parent / "tools/pages.py"
spec = importlib.util.spec_from_file_location("pages", path)
pages = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pages)
pytestmark = pytest.mark.skipif(not pages.find_browser(), reason="needs Chromium or Chrome")

pixel = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
good = f"""<h1>All well</h1><h2 id="here">One</h2><h3>Two</h3><h2>Three</h2><img src="{pixel}" alt="a dot">
<a href="#here">here</a> <a href="good.html#here">there</a> <a href="sub/deep.html">down</a> <a href="https://elsewhere.org/x">out</a>
<a href="https://public.org/site/quarto.html#here">public</a> <a href="https://code.org/repo/blob/main/kept.py#L3">source</a>"""
bodies = {  # what is on a page, and what is to be said of it
    "good": (good, None),
    "sub/deep": ('<h1>Deep</h1><a href="../good.html">up</a>', None),
    "console": ("<h1>A</h1><script>console.error('ouch')</script>", "console error: ouch"),
    "script": ("<h1>A</h1><script>nothing.here()</script>", "script error: nothing is not defined"),
    "link": ('<h1>A</h1><a href="gone.html">x</a>', "broken link gone.html: no such page or file"),
    "anchor": ('<h1>A</h1><a href="good.html#gone">x</a>', "broken link good.html#gone: no such place on the page"),
    "own_anchor": ('<h1>A</h1><a href="#lost">x</a>', "broken link own_anchor.html#lost: no such place on the page"),
    "public": ('<h1>A</h1><a href="https://public.org/site/quarto.html#gone">x</a>', "broken link https://public.org/site/quarto.html#gone"),
    "source": ('<h1>A</h1><a href="https://code.org/repo/blob/main/gone.py">x</a>', "the repository has no such file"),
    "image": ('<h1>A</h1><img src="gone.png" alt="gone">', "gets 404 for gone.png"),
    "empty": ('<h1>A</h1><img src="kept.py" alt="no image">', "an image that does not show under 'A'"),
    "alt": (f'<h1>A</h1><h2>B</h2><img src="{pixel}">', "an image without alt text under 'B'"),
    "blank_alt": (f'<h1>A</h1><img src="{pixel}" alt=" ">', "an image without alt text under 'A'"),
    "jump": ("<h1>A</h1><h3>C</h3>", "heading 'C' jumps from level 1 to 3"),
    "two": ("<h1>A</h1><h1>B</h1>", "2 headings of level 1"),
    "none": ("<p>A</p>", "0 headings of level 1"),
    "wide": ('<h1>A</h1><div style="width: 600px">x</div>', "on a screen of 390: <div> under \"A\""),
    "host": ('<h1>A</h1><link rel="stylesheet" href="https://elsewhere.org/x.css">', "asks another host: https://elsewhere.org/x.css"),
    "fetch": ("<h1>A</h1><script>fetch('http://127.0.0.1:9/').catch(() => 0)</script>", "asks another host: http://127.0.0.1:9/"),
    "hidden": ("<h1>A</h1><p>a secret\nof the notebook</p>", "shows what its notebook hides: a secret of the notebook"),
    "directive": ("<h1>A</h1><pre>\n#| hide\nx</pre>", "a directive is shown: #| hide"),
    "linked": ("<h1>A</h1><pre>x, # a [`Run`](https://x.org)</pre>", "a link's Markdown inside code: x, # a [`Run`]"),
    "sidebar": ('<h1>A</h1><div id="quarto-sidebar"><a href="sidebar.html">b</a><a href="good.html">a</a></div>', "not as in _quarto.yml"),
    "table": ('<h1>A</h1><table style="display: block; overflow-x: auto"><tr><td><div style="width: 900px">x</div></table>',
              "table of 90"),
    "narrow_table": ('<h1>A</h1><table style="display: block; overflow-x: auto"><tr><td><div style="width: 600px">x</div></table>', None),
    "folded": ('<h1>A</h1><details><summary>B</summary><table style="display: block; overflow-x: auto"><tr><td>'
               '<div style="width: 900px">x</div></table></details>', "table of 90"),
    "text": ('<h1>A</h1><p style="overflow: hidden">' + 90 * "wide" + "</p>", "text of "),
    "picture": (f'<h1>A</h1><h2>B</h2><div style="overflow-x: auto"><img src="{pixel}" alt="a dot" style="width: 800px"></div>',
                "picture of 800 px in 680 px at 1280, under 'B'"),
    "phone_picture": (f'<h1>A</h1><div style="overflow-x: auto"><img src="{pixel}" alt="a dot" style="width: 600px"></div>', "px at 390, under 'A'"),
    "output": ('<h1>A</h1><div class="cell-output"><pre style="overflow-x: auto">' + 200 * "x" + "</pre></div>", "code or output of "),
    "code": ('<h1>A</h1><pre style="overflow-x: auto">' + 110 * "x" + "</pre>", "code or output of "),
    "long_code": ('<h1>A</h1><pre style="white-space: pre-wrap; overflow-wrap: anywhere">' + 121 * "x" + "</pre>",
                  "a line of code of 121 characters under 'A'"),
    "wrapped_code": ('<h1>A</h1><pre style="white-space: pre-wrap; overflow-wrap: anywhere">' + 120 * "x" + "</pre>", None),
    "long": ('<h1>A</h1><div style="height: 23000px">x</div>', "px long, over 22,500"),
    "language": ("<h1>A</h1>", "the page does not say its language"),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    "What is said of each page."
    docs = tmp_path_factory.mktemp("site")
    for name, (body, _) in bodies.items():
        up, lang = "../" * name.count("/"), "" if name == "language" else ' lang="en"'
        side = f'<div id="quarto-sidebar"><a href="{up}good.html">a</a><a href="{up}sidebar.html">b</a></div>'
        page = docs / f"{name}.html"
        page.parent.mkdir(exist_ok=True)
        page.write_text(f'<!doctype html><html{lang}><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
                        f'<style>body {{ margin: 0 }} main {{ display: block }}</style><title>{name}</title>{"" if name == "sidebar" else side}<main>{body}</main></html>', encoding="utf-8")
    (docs / "kept.py").write_text("1\n2\n3\n")
    site = {"sidebar": ["good.html", "sidebar.html"], "names": {"quarto.html": "good.html"},
            "site-url": "https://public.org/site", "repo-url": "https://code.org/repo"}
    lines = pages.check(docs, site, {"hidden.html": ["a secret of the notebook"]})
    assert len(lines) == len(set(lines))
    return {name: [line for line in lines if line.startswith(f"{name}.html: ")] for name in bodies}


@pytest.mark.parametrize("name", bodies)
def test_page(found, name):
    lines, expected = found[name], bodies[name][1]
    if expected is None: assert lines == []
    else: assert [line for line in lines if expected in line], lines


def test_hidden_lines(tmp_path):
    "Hidden are the lines of hidden cells and the code without its output of others, unless a shown cell has them too."
    cell = lambda source, said="": dict(cell_type="code", source=source, outputs=[dict(output_type="stream", text=said)] if said else [])
    cells = [cell("#| hide\nfrom secret import key", "the secret said"), cell("#| echo: false\nMarkdown(table_of_all)", "a table to be seen"),
             cell("#| include: false\nneither_this(now)", "nor its output"), cell("#| export\ndef shown_by_name(): pass"),
             cell("#| hide\nshown = elsewhere + 1"), cell("shown = elsewhere + 1"), cell("#| output: false\nnoisy_but_shown()", "a lot of noise")]
    (tmp_path / "x.ipynb").write_text(json.dumps(dict(cells=cells)))
    assert pages.hidden_lines(tmp_path / "x.ipynb") == ["from secret import key", "the secret said", "Markdown(table_of_all)",
                                                        "neither_this(now)", "nor its output", "a lot of noise"]


def test_sidebar_and_names(tmp_path):
    "Sidebar entries come in reading order, and Quarto's names lead to the pages of the preview."
    (tmp_path / "_quarto.yml").write_text("website: {sidebar: {contents: [index.ipynb, {section: S, contents: [s/01_a.ipynb]}, {text: T, href: 00_b.ipynb}]}}")
    (tmp_path / "_proc/s").mkdir(parents=True)
    (tmp_path / "_proc/nbdev.yml").write_text("website: {site-url: 'https://public.org/site', title: x}")
    raw = dict(cell_type="raw", source="---\noutput-file: a.html\ntitle: A\n---")
    (tmp_path / "_proc/s/01_a.ipynb").write_text(json.dumps(dict(cells=[raw])))
    site = pages.read_site(tmp_path)
    assert site["sidebar"] == ["index.html", "s/01_a.html", "00_b.html"]
    assert site["names"] == {"s/a.html": "s/01_a.html"} and site["site-url"] == "https://public.org/site"
