"""Every table of results as text, so that tables before and after a move of files can be compared.

    python tools/tables.py                        print them
    python tools/tables.py --save before.txt      write them down
    python tools/tables.py --compare before.txt   which rows of before.txt are in no table any more?

Three kinds of tables: those that the package makes of the runs (`result_table`, `ablation_table`, `ladder_table`),
wherever below results/ a run is filed; the benchmarks, a line for each value; and the stored outputs of the cells
of pages marked `#| from: results`. A row counts, not its place: one that is now in another table of its kind, or
under another heading, is not missed.
"""
import argparse
import json
import re
import sys
from collections import Counter
from pathlib import Path

from cifar10_nb.core import InputError
from cifar10_nb.lab.results import load_bench, load_results, needs, result_table
from cifar10_nb.lab.studies import studies, study_table

root = Path(__file__).resolve().parent.parent
parts = *studies, "earlier", "weights"  # folders of results/ with tables of their own; all else is one table
kinds = ("ceiling", "pipeline", "overhead", "scaling", "side_by_side", "earlier_side_by_side",
         "trials", "search", "skipping", "cheaper")  # of load_bench


def is_run(path):
    "Does a file look like that of a finished run, whether or not the package can read it? Trials have no test scores."
    found = json.loads(path.read_text(encoding="utf-8"))
    return isinstance(found, dict) and {"recipe", "history", "seed", "versions"} <= found.keys() and bool(found["test"])


def all_runs(folder):
    "Part of the results -> its runs, in whatever folders they are."
    found = {part: [] for part in ("main", *parts)}
    for place in sorted({path.parent for path in folder.rglob("*.json") if is_run(path)}):
        first = [*place.relative_to(folder).parts, ""][0]
        found[first if first in parts else "main"] += load_results(folder=place)
    if not found["main"]: raise InputError(f"there are no runs in {folder}: name another folder with --results")
    return found


def leaves(value, path=""):
    "A line for each number and text in nested dicts and lists; a list of such is one line."
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    flat = isinstance(value, list) and not any(isinstance(v, (dict, list)) for v in value)
    if flat or not pairs: yield f"{path} {json.dumps(value)}"
    else:
        for k, v in pairs: yield from leaves(v, f"{path}.{k}" if path else str(k))


def bench_tables(folder):
    "Title and text of each benchmark on file; its machine and recipe stand before each line."
    for kind in kinds:
        for found in load_bench(kind, folder):
            who = " ".join(map(str, [kind, *found["machine"].values()]))
            if isinstance(found.get("recipe"), str): who += " " + found["recipe"]
            yield f"bench: {who}", "\n".join(f"{who}: {line}" for line in leaves(found))


def page_tables(folder):
    "Title and text of what is stored on pages and made from the results."
    for path in sorted(folder.rglob("*.ipynb")):
        if ".ipynb_checkpoints" in path.parts: continue
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        marked = [c for c in cells if re.search(r"^#\| *from: *results", "".join(c["source"]), re.M)]
        for i, cell in enumerate(marked):
            outputs = [{**o, **o.get("data", {})} for o in cell["outputs"] if o.get("name") != "stderr"]
            texts = ["".join(o.get("text/markdown") or o.get("text") or []) for o in outputs]
            if any(texts): yield f"page: {path.stem}, cell {i}", "\n\n".join(filter(None, texts))


def all_tables(folder, bench):
    "Title and text of every table."
    runs, limits = all_runs(folder), load_bench("ceiling", bench)
    for name, some in dict(runs, **{"main and earlier": runs["main"] + runs["earlier"]}).items():
        if not some: continue
        yield f"results: {name}", result_table(some, limits=limits)
        yield f"results: {name}, brief", result_table(some, brief=True)
    yield "results: main, with what waits", result_table(runs["main"], waiting=needs, limits=limits)
    for study in studies:
        if runs[study]: yield f"study: {study}", study_table(study, runs[study])
    yield from bench_tables(bench)
    yield from page_tables(root / "nbs")


def as_text(tables): return "\n\n".join(f"## {title}\n\n{text.strip()}" for title, text in tables) + "\n"


def rows(text):
    "How often each row occurs, behind its kind of table: no headings, rules or empty lines."
    found, kind = Counter(), ""
    for line in text.splitlines():
        if line.startswith("## "): kind = line.removeprefix("## ").partition(":")[0]
        elif line.strip() and not re.fullmatch(r"[|\-: ]+", line): found[f"{kind}: {line}"] += 1
    return found


def compare(before, now):
    "Print which rows are gone and which are new; is any row gone?"
    old, new = rows(before), rows(now)
    gone, come = ([row for row in a if row not in b] for a, b in ((old, new), (new, old)))
    for mark, some in (("- ", gone), ("+ ", come)):
        for row in some: print(mark + row)
    fewer = sum(new[row] < n for row, n in old.items() if row in new)
    print(f"{len(old)} rows before: {len(old) - len(gone)} of them are there, {len(gone)} are gone; {len(come)} are new"
          + (f"; {fewer} are in fewer tables than before" if fewer else ""))
    return bool(gone)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    option = lambda name, text, **more: parser.add_argument(name, type=Path, help=text, **more)
    option("--results", "the folder with the runs (default: the repository's)", default=root / "results")
    option("--bench", "the folder that has the benchmarks in bench/ (default: the folder with the runs)")
    option("--save", "write the tables into FILE", metavar="FILE")
    option("--compare", "compare them with those in FILE; exit code 1 if a row is gone", metavar="FILE")
    args = parser.parse_args()
    try: text = as_text(all_tables(args.results, args.bench or args.results))
    except InputError as e: sys.exit(f"tables.py: {e}")
    if args.save: args.save.write_text(text, encoding="utf-8")
    if args.compare: sys.exit(compare(args.compare.read_text(encoding="utf-8"), text))
    if not args.save: print(text, end="")


if __name__ == "__main__": main()
