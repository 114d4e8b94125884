"""Render a staged site without Quarto and look at every page in a browser.

    python tools/pages.py SITE [--shots FOLDER]

SITE is a copy of the repository in which nbdev has made `_proc` (tools/stage.py does). smalldocs renders it much as Quarto
would; headless Chromium opens each page on a narrow and on a wide screen. What is wrong is printed, a line each, and
makes the exit code 1. Needs Chromium or Chrome, and `pip install -e '.[site]'`.
"""
import argparse
import json
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urldefrag, urlsplit

widths = 1280, 390  # a laptop and a phone
column = 680  # px; Quarto gives the text 780 on a laptop
longest_page, longest_line = 22_500, 120  # px of a page on a laptop, characters of a line of code
look = """() => {
    const all = s => [...document.querySelectorAll(s)], main = document.querySelector("main") || document.body
    const name = e => (e.innerText || "").trim().split("\\n")[0]
    const under = e => name(all("main h1, main h2, main h3, main h4")
        .filter(h => h.compareDocumentPosition(e) & Node.DOCUMENT_POSITION_FOLLOWING).pop() || document.body)
    return {
        title: document.title, lang: document.documentElement.lang, wide: document.documentElement.scrollWidth,
        text: main.textContent, code: all("main pre").map(e => e.textContent).join("\\n"),
        ids: all("[id], a[name]").map(e => e.id || e.name),
        urls: [...all("[href]").map(e => e.href), ...all("[src]").map(e => e.src),
            ...all("meta[property='og:image']").map(e => e.content)].filter(u => typeof u == "string"),
        headings: all("main :is(h1, h2, h3, h4, h5, h6)").map(h => [+h.tagName[1], name(h)]),
        images: all("img").map(e => ({alt: e.alt.trim(), src: e.src.slice(0, 60), under: under(e),
            drawn: e.complete && e.naturalWidth > 0})),
        widest: all("main *").map(e => [e.getBoundingClientRect().right, e]).sort((a, b) => b[0] - a[0]).slice(0, 1)
            .map(([_, e]) => `<${e.tagName.toLowerCase()}> under "${under(e)}"`)[0],
        sidebar: all("#quarto-sidebar a[href]").map(e => e.href),
    }}"""

boxes = """() => {  // what is wider than the box it stands in
    const all = s => [...document.querySelectorAll(s)], main = document.querySelector("main") || document.body
    const name = e => (e.innerText || "").trim().split("\\n")[0]
    const under = e => name(all("main h1, main h2, main h3, main h4")
        .filter(h => h.compareDocumentPosition(e) & Node.DOCUMENT_POSITION_FOLLOWING).pop() || document.body)
    const seen = e => e.clientWidth > 0 && e.checkVisibility(), open = all("main details:not([open])")
    const height = main.scrollHeight, over = []
    open.forEach(e => e.open = true)  // what is folded has to fit too
    const tell = (kind, e, wide, room) => { if (wide > room + 1) over.push([kind, under(e), Math.round(wide), Math.round(room)]) }
    const room = e => { const s = getComputedStyle(e); return e.clientWidth - parseFloat(s.paddingLeft) - parseFloat(s.paddingRight) }
    const scrolls = e => { for (; e && e != main; e = e.parentElement)
        if (/auto|scroll/.test(getComputedStyle(e).overflowX) && !e.matches("main table")) return e }
    const right = main.getBoundingClientRect().left + room(main) + parseFloat(getComputedStyle(main).paddingLeft)
    for (const e of all("main table").filter(seen)) {
        const box = scrolls(e.parentElement) || e.parentElement
        tell("table", e, e.scrollWidth, Math.min(e.clientWidth || 1e6, room(box)))
    }
    for (const e of all("main :is(p, li, h1, h2, h3, h4, dt, dd, summary, blockquote)").filter(seen))
        if (!scrolls(e) && getComputedStyle(e).display != "inline") tell("text", e, e.scrollWidth, e.clientWidth)
    for (const e of all("main :is(img, svg, canvas, video)").filter(seen)) {
        const at = e.getBoundingClientRect(), box = scrolls(e.parentElement)
        tell("picture", e, at.right, right)
        if (box) tell("picture", e, at.width, room(box))
    }
    const blocks = all("main pre").filter(seen)
    for (const e of blocks) tell("code or output", e, e.scrollWidth, e.clientWidth)  // both wrap
    const long = blocks.filter(e => !e.matches(".cell-output pre:not(.sourceCode)"))
        .flatMap(e => e.textContent.split("\\n").map(line => [under(e), line.trimEnd()]))
    open.forEach(e => e.open = false)
    return {over, height, long}
}"""

settle = """() => Promise.race([  // until the images are there, those too that a script has only just added
    Promise.all([...document.images].filter(e => !e.complete).map(e => new Promise(f => e.onload = e.onerror = f))),
    new Promise(f => setTimeout(f, 10000))])"""


def find_browser():
    "Chromium or Chrome, as the system has it."
    names = "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"
    return next((path for path in map(shutil.which, names) if path), None)


def serve(folder):
    "Serve a folder on a free port of this machine: a server to shut down, and its address."
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args): pass
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}/"


def open_page(tab, base, page):
    "What a page holds, and what went wrong while it loaded."
    wrong = []
    def asked(request):
        if not request.url.startswith((base, "data:", "blob:")): wrong.append(f"asks another host: {request.url}")
    def answered(response):
        if response.status >= 400: wrong.append(f"gets {response.status} for {response.url.removeprefix(base)}")
    def said(message):
        if message.type == "error" and "Failed to load resource" not in message.text:
            wrong.append(f"console error: {message.text.splitlines()[0]}")
    def thrown(error): wrong.append(f"script error: {str(error).splitlines()[0]}")
    heard = dict(request=asked, response=answered, console=said, pageerror=thrown)
    for event, f in heard.items(): tab.on(event, f)
    tab.goto(base + page)
    tab.wait_for_timeout(100)  # for what scripts do once the page is there
    tab.evaluate(settle)
    seen = tab.evaluate(look)
    for event, f in heard.items(): tab.remove_listener(event, f)
    return seen, wrong


def flaws(seen):
    "What is wrong with a page by itself."
    if not seen["lang"]: yield "the page does not say its language"
    if not seen["title"]: yield "no title"
    if shown := re.search(r"^#\| .*", seen["code"], re.M): yield f"a directive is shown: {shown[0]}"
    for line in re.findall(r".*`\]\(http.*", seen["code"]): yield f"a link's Markdown inside code: {line.strip()[:80]}"
    levels = [0] + [level for level, _ in seen["headings"]]
    if levels.count(1) != 1: yield f"{levels.count(1)} headings of level 1 instead of one"
    for before, (level, text) in zip(levels, seen["headings"]):
        if level > before + 1: yield f"heading {text!r} jumps from level {before} to {level}"
    for image in seen["images"]:
        if not image["alt"]: yield f"an image without alt text under {image['under']!r}: {image['src']}"
        if not image["drawn"]: yield f"an image that does not show under {image['under']!r}: {image['src']}"


def misfits(seen, width):
    "What does not fit: tables, text, pictures and code against their boxes; long pages and lines of code, on a laptop."
    for kind, under, wide, room in seen["over"]:
        if kind == "table" and width < column: continue  # on a phone it scrolls, if it fits on a laptop
        yield f"{kind} of {wide} px in {room} px at {width}, under {under!r}"
    if width < column: return
    if seen["height"] > longest_page: yield f"{seen['height']:,} px long, over {longest_page:,}"
    long = [(under, line) for under, line in seen["long"] if len(line) > longest_line]
    for under, line in long: yield f"a line of code of {len(line)} characters under {under!r}: {line.strip()[:40]}"


def broken(url, here, base, site, pages):
    "Why a link does not work, or None. Links to other hosts are not followed."
    repo, home = site.get("repo-url"), site.get("site-url")
    if home and (url + "/").startswith(home.rstrip("/") + "/"):  # the site by its public name, pages by Quarto's names
        url = base + url[len(home):].lstrip("/")
    url, anchor = urldefrag(url)
    if repo and (url.startswith(repo + "/blob/") or url.startswith(repo + "/tree/")):
        path = unquote(urlsplit(url).path).split("/", 5)[-1]
        return None if (site["root"] / path).exists() else "the repository has no such file"
    if not url.startswith(base):
        return None if urlsplit(url).hostname or url.startswith(("data:", "mailto:")) else "no address"
    path = unquote(urlsplit(url).path).lstrip("/")
    if not path or path.endswith("/"): path += "index.html"
    path = site.get("names", {}).get(path, path)
    if not (site["docs"] / path).is_file(): return "no such page or file"
    if anchor and path in pages and unquote(anchor) not in pages[path]["ids"]: return "no such place on the page"


def check(docs, site=None, hidden=None, shots=None):
    "Open all pages below `docs`; a list of what is wrong. `site`: see `read_site`; `hidden`: page -> what it must not show."
    from playwright.sync_api import sync_playwright
    site, hidden = dict(root=docs, docs=docs) | (site or {}), hidden or {}
    names = sorted(str(p.relative_to(docs)) for p in docs.rglob("*.html") if "site_libs" not in p.parts)
    server, base = serve(docs)
    pages, links, problems = {}, defaultdict(list), []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        for width in widths:
            tab = browser.new_page(viewport=dict(width=width, height=900))
            tab.route(lambda url: not url.startswith(base), lambda route: route.abort())  # no other host, even if asked
            for name in names:
                seen, wrong = open_page(tab, base, name)
                found = [*wrong, *flaws(seen)] if width == widths[0] else wrong  # what does not depend on the width, once
                if seen["wide"] > width: found.append(f"{seen['wide']} px wide on a screen of {width}: {seen['widest']}")
                problems += [f"{name}: {line}" for line in found]
                if width > column: tab.add_style_tag(content=f"main {{ box-sizing: content-box; width: {column}px; max-width: none; }}")
                found = misfits(tab.evaluate(boxes), width)
                problems += [f"{name}: {line}" for line in found]
                if shots: tab.screenshot(path=shots / f"{name.replace('/', '_')}.{width}.png", full_page=True)
                pages[name] = seen
            tab.close()
        browser.close()
    server.shutdown()
    for name, seen in pages.items():
        text = " ".join(seen["text"].split())
        problems += [f"{name}: shows what its notebook hides: {line}" for line in hidden.get(name, []) if line in text]
        order = [u.removeprefix(base) for u in seen["sidebar"]]
        if order != site.get("sidebar", order): problems.append(f"{name}: its sidebar is {order}, not as in _quarto.yml")
        for url in dict.fromkeys(seen["urls"]):
            if why := broken(url, name, base, site, pages): links[url.removeprefix(base), why].append(name)
    for (url, why), on in links.items():
        problems.append(f"{on[0]}{f' and {len(on) - 1} more' if on[1:] else ''}: broken link {url}: {why}")
    return list(dict.fromkeys(problems))  # each once, not once a width


def entries(contents):
    "The files that a sidebar of _quarto.yml names, in order."
    for item in contents:
        if isinstance(item, dict): yield from entries(item["contents"]) if "contents" in item else [item["href"]]
        else: yield item


def read_site(root):
    "What the checks have to know of a staged repository: addresses, sidebar, Quarto's names of pages."
    import yaml
    read = lambda path: yaml.safe_load(path.read_text(encoding="utf-8"))
    website = read(root / "_quarto.yml")["website"]
    html = lambda path: str(Path(path).with_suffix(".html"))
    names = {}
    for path in (root / "_proc").rglob("*.ipynb"):  # Quarto calls 00_data.ipynb data.html; smalldocs does not
        first = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
        page = html(path.relative_to(root / "_proc"))
        if own := re.search(r"^output-file: (\S+)", first, re.M): names[str(Path(page).with_name(own[1]))] = page
    sidebar, own = [html(e) for e in entries(website["sidebar"]["contents"])], read(root / "_proc/nbdev.yml")["website"]
    return dict(root=root, docs=root / "_proc/_docs", names=names, sidebar=sidebar,
                **{k: own[k] for k in ("repo-url", "site-url") if k in own})


def hidden_lines(path):
    "Lines of a notebook's hidden cells, as the page would show them, that stand in no cell that is shown."
    shown, hidden, kinds = [], [], ("text", "text/plain", "text/markdown")
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source, outputs = "".join(cell["source"]), cell.get("outputs", [])
        texts = [o[k] for o in ({**o, **o.get("data", {})} for o in outputs) for k in kinds if k in o]
        said = "\n".join("".join(t) for t in texts)
        directives = re.findall(r"^#\| *([\w-]+)(?:: *(\S+))?", source, re.M) if cell["cell_type"] == "code" else []
        gone = ("hide", "") in directives or ("include", "false") in directives
        (hidden if gone or ("echo", "false") in directives else shown).append(source)
        (hidden if gone or ("output", "false") in directives else shown).append(said)
    shown = " ".join("\n".join(shown).split())
    lines = (" ".join(line.split()) for line in "\n".join(hidden).splitlines() if not line.startswith("#|"))
    return [line for line in dict.fromkeys(lines) if len(line) > 12 and line not in shown]


def render(proc):
    "Make `_docs` in a staged folder, with what only the preview would fetch left out."
    command = [sys.executable, "-m", "smalldocs.cli", "render", "--quiet", proc]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode: sys.exit(f"smalldocs: {done.stderr.strip().splitlines()[-1]}")
    for css in (proc / "_docs/site_libs/themes").glob("*.css"):  # Quarto obeys fonts.scss; smalldocs reads no Sass
        css.write_text(re.sub(r"@import url\(https://fonts.googleapis.com[^)]*\);", "", css.read_text("utf-8")), "utf-8")
    for page in (proc / "_docs").rglob("*.html"):  # Quarto writes MathML, smalldocs has KaTeX do it in the browser
        page.write_text(re.sub(r"<(link|script)[^>]*/npm/katex@[^>]*>(</script>)?", "", page.read_text("utf-8")), "utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("site", type=Path, help="a copy of the repository with _proc in it")
    parser.add_argument("--shots", type=Path, help="a folder for a picture of each page, at each width")
    args = parser.parse_args()
    root = args.site.resolve()
    if not find_browser(): sys.exit("no Chromium or Chrome on the PATH: apt-get install chromium")
    render(root / "_proc")
    if args.shots: args.shots.mkdir(parents=True, exist_ok=True)
    site = read_site(root)
    notebooks = {str(p.relative_to(root / "nbs").with_suffix(".html")): p
                 for p in (root / "nbs").rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts}
    problems = [f"{page}: not in the sidebar of _quarto.yml" for page in notebooks if page not in site["sidebar"]]
    problems += [f"{page}: not rendered" for page in notebooks if not (site["docs"] / page).is_file()]
    problems += check(site["docs"], site, {page: hidden_lines(p) for page, p in notebooks.items()}, args.shots)
    print("\n".join(problems) or f"{len(notebooks)} notebooks and the rest of the site at {widths} px: all well")
    sys.exit(bool(problems))


if __name__ == "__main__": main()
