"The sources of images when things go wrong: servers that stall, lie and break off, folders with mistakes, odd files"
import hashlib, io, os, pickle, socket, tarfile, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from PIL import Image

from cifar10_nb import data as D
from cifar10_nb.core import DownloadError, InputError, cache_dir
from cifar10_nb.sources.download import download
from cifar10_nb.sources.pictures import open_image

BODY = np.random.default_rng(0).integers(0, 256, 200_000, np.uint8).tobytes()
MD5 = "md5:" + hashlib.md5(BODY).hexdigest()
QUICK = dict(give_up=2., stall=1., slow=0, window=.3)


nonsense = {"to_port": "http://127.0.0.1:nonsense/x", "to_kind": "gopher://x/y", "to_nothing": "http://", "to_label": "http://" + "a" * 70 + ".org/x",
            "to_file": "file:///etc/passwd", "to_ipv6": "http://[::1/x", "to_space": "http://127.0.0.1:1/a b\x7f"}
absurd = {"huge": "9" * 30, "endless": "9" * 5000, "negative": "-5", "words": "many"}


class Handler(BaseHTTPRequestHandler):
    "Serves `server.files[path]`; the first part of the path says how it misbehaves"
    def log_message(self, *args): pass

    def do_GET(self):
        _, how, name = self.path.split("/")
        rng = self.headers.get("Range")
        self.server.asked.append((how, rng))
        body = self.server.files.get(name)
        if how == "mute": return time.sleep(3)
        if how == "missing" or body is None: return self.send_error(404)
        if how in nonsense:
            self.send_response(302)
            self.send_header("Location", nonsense[how])
            return self.end_headers()
        if how in absurd:
            self.send_response(200)
            self.send_header("Content-Length", absurd[how])
            self.end_headers()
            return self.wfile.write(body)
        if how == "lies": body = body[:-1] + bytes([body[-1] ^ 1])
        if how == "login": body = b"<html>please log in</html>"
        start = int(rng[6:-1]) if rng and how not in ("norange", "login") else 0
        if start >= len(body): return self.send_error(416)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        if start: self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        self.send(how, body[start:])

    def send(self, how, body):
        if how == "cut": return self.wfile.write(body[:len(body) // 2])
        if how == "stalls":
            self.wfile.write(body[:len(body) // 2]); self.wfile.flush()
            return time.sleep(3)
        if how not in ("slow", "slower"): return self.wfile.write(body)
        step = 4000 if how == "slow" else 1000
        try:
            for i in range(0, len(body), step):
                self.wfile.write(body[i:i + step]); self.wfile.flush()
                time.sleep(.02)
        except OSError: pass  # the client has left us for another


@pytest.fixture
def server():
    s = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    s.daemon_threads, s.files, s.asked = True, {"f": BODY}, []
    s.url = lambda how, name="f": f"http://127.0.0.1:{s.server_port}/{how}/{name}"
    threading.Thread(target=s.serve_forever, args=(.02,), daemon=True).start()
    yield s
    s.shutdown(); s.server_close()


@pytest.fixture(autouse=True)
def clean(tmp_path, monkeypatch):
    "A cache of its own for every test"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CIFAR10_NB_DATA", raising=False)


def closed_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{s.getsockname()[1]}/ok/f"


# -- download

def test_whole(server, tmp_path):
    got = download([server.url("ok")], tmp_path / "a/f", MD5, **QUICK)
    assert got.read_bytes() == BODY and os.listdir(tmp_path / "a") == ["f"]
    download([server.url("ok")], tmp_path / "a/f", MD5, **QUICK)
    assert len(server.asked) == 1  # the second time it is there


def test_next_mirror_after_404_closed_and_lies(server, tmp_path):
    urls = [server.url("missing"), closed_port(), server.url("lies"), server.url("login"), server.url("ok")]
    assert download(urls, tmp_path / "f", MD5, **QUICK).read_bytes() == BODY


@pytest.mark.parametrize("how", [*nonsense, *absurd])
def test_next_mirror_after_nonsense(server, tmp_path, how):
    assert download([server.url(how), server.url("ok")], tmp_path / "f", MD5, **QUICK).read_bytes() == BODY
    with pytest.raises(DownloadError) as e: download([server.url(how)], tmp_path / "g", MD5, **QUICK)
    assert "\n" not in str(e.value) and len(str(e.value)) < 500


def test_all_fail_says_why_and_leaves_nothing(server, tmp_path):
    urls = [server.url("missing"), closed_port(), server.url("lies")]
    with pytest.raises(DownloadError) as e: download(urls, tmp_path / "d/f", MD5, **QUICK)
    s = str(e.value)
    assert "HTTP 404" in s and "refused" in s and "other bytes" in s and str(tmp_path / "d") in s and "\n" not in s
    assert not e.value.partial and os.listdir(tmp_path / "d") == []


def test_cut_is_resumed_by_the_next(server, tmp_path):
    assert download([server.url("cut"), server.url("ok")], tmp_path / "f", MD5, **QUICK).read_bytes() == BODY
    assert server.asked[:2] == [("cut", None), ("ok", f"bytes={len(BODY) // 2}-")]


def test_cut_every_time_keeps_a_part_that_a_later_run_resumes(server, tmp_path):
    with pytest.raises(DownloadError, match="run again to resume") as e:
        download([server.url("cut")], tmp_path / "f", MD5, **QUICK)
    assert e.value.partial and not (tmp_path / "f").exists()
    have = (tmp_path / "f.part").read_bytes()
    assert 0 < len(have) < len(BODY) and BODY.startswith(have) and len(server.asked) == 3
    download([server.url("ok")], tmp_path / "f", MD5, **QUICK)
    assert server.asked[-1] == ("ok", f"bytes={len(have)}-")
    assert (tmp_path / "f").read_bytes() == BODY and not (tmp_path / "f.part").exists()


def test_server_without_range_starts_over(server, tmp_path):
    (tmp_path / "f.part").write_bytes(BODY[:5000])
    assert download([server.url("norange")], tmp_path / "f", MD5, **QUICK).read_bytes() == BODY


@pytest.mark.parametrize("old", [b"rubbish", BODY[:1000] + b"x" * 500, BODY + b"more", b"x" * len(BODY)])
def test_spoilt_part_is_found_out(server, tmp_path, old):
    (tmp_path / "f.part").write_bytes(old)
    assert download([server.url("ok")], tmp_path / "f", MD5, **QUICK).read_bytes() == BODY


def test_complete_part_is_taken(server, tmp_path):
    (tmp_path / "f.part").write_bytes(BODY)  # killed between the last byte and the renaming
    assert download([server.url("ok")], tmp_path / "f", MD5, **QUICK).read_bytes() == BODY
    assert len(server.asked) == 1


def test_wrong_file_at_the_target_is_replaced(server, tmp_path):
    (tmp_path / "f").write_bytes(BODY[:100])
    assert download([server.url("ok")], tmp_path / "f", MD5, **QUICK).read_bytes() == BODY


def test_page_of_another_size_does_not_cost_the_part(server, tmp_path):
    (tmp_path / "f.part").write_bytes(BODY[:5000])
    with pytest.raises(DownloadError, match="26 bytes, not 200000"):
        download([server.url("login")], tmp_path / "f", MD5, size=len(BODY), **QUICK)
    assert (tmp_path / "f.part").read_bytes() == BODY[:5000]


def test_slow_is_left_for_a_faster(server, tmp_path):
    limits = QUICK | dict(slow=1_000_000)
    start = time.monotonic()
    assert download([server.url("slower"), server.url("ok")], tmp_path / "f", MD5, **limits).read_bytes() == BODY
    assert time.monotonic() - start < 2 and server.asked[1][1] is not None  # it went on where the slow one was


def test_all_slow_goes_back_to_the_fastest(server, tmp_path):
    limits = QUICK | dict(slow=10_000_000)
    assert download([server.url("slower"), server.url("slow")], tmp_path / "f", MD5, **limits).read_bytes() == BODY
    assert [how for how, _ in server.asked] == ["slower", "slow", "slow"]


def test_stall_and_mute(server, tmp_path):
    urls = [server.url("mute"), server.url("stalls"), server.url("ok")]
    start = time.monotonic()
    assert download(urls, tmp_path / "f", MD5, **QUICK).read_bytes() == BODY
    assert time.monotonic() - start < 4


def test_two_at_once_cannot_spoil_the_file(server, tmp_path):
    out = []
    def get():
        try: out.append(download([server.url("slow")], tmp_path / "f", MD5, **QUICK))
        except DownloadError as e: out.append(str(e))
    threads = [threading.Thread(target=get) for _ in range(2)]
    for t in threads: t.start(); time.sleep(.2)
    for t in threads: t.join()
    assert (tmp_path / "f").read_bytes() == BODY
    assert "another process" in out[0], out


# -- the official archive, in small

def fake_cifar():
    "An archive like the official one with 4 images a batch, and a torchvision class that knows its digests"
    from torchvision.datasets import CIFAR10
    rng, files, lists = np.random.default_rng(1), {}, {"train": [], "test": []}
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        x = rng.integers(0, 256, (4, 3072), np.uint8)
        files[name] = pickle.dumps(dict(data=x, labels=[int(v) for v in rng.integers(0, 10, 4)]))
        lists["test" if name.startswith("test") else "train"].append([name, hashlib.md5(files[name]).hexdigest()])
    files["batches.meta"] = pickle.dumps(dict(label_names=D.cifar10_classes))
    buf = io.BytesIO()
    with tarfile.open(fileobj=buf, mode="w:gz") as t:
        for name, b in files.items():
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}"); info.size = len(b)
            t.addfile(info, io.BytesIO(b))
    meta = CIFAR10.meta | dict(md5=hashlib.md5(files["batches.meta"]).hexdigest())
    small = type("Small", (CIFAR10,), dict(tgz_md5=hashlib.md5(buf.getvalue()).hexdigest(), meta=meta,
                                           train_list=lists["train"], test_list=lists["test"]))
    return buf.getvalue(), small, pickle.loads(files["data_batch_1"])


@pytest.fixture
def small(server):
    archive, cls, first = fake_cifar()
    server.files["c"] = archive
    return archive, cls, first


@pytest.mark.parametrize("source", ["cifar10", "auto"])
def test_archive_end_to_end(server, small, source):
    archive, cls, first = small
    urls = [server.url("missing", "c"), server.url("cut", "c"), server.url("ok", "c")]
    train, test = D.open_data(source, dataset=cls, urls=urls, **QUICK)
    assert (len(train), len(test), train.source, train.classes) == (20, 4, "cifar10", D.cifar10_classes)
    assert train.x[:4].numpy().reshape(4, 3072).tolist() == first["data"].tolist()
    assert train.y[:4].tolist() == first["labels"]
    n = len(server.asked)
    again, _ = D.open_data(source, dataset=cls, urls=urls, **QUICK)
    assert torch.equal(again.x, train.x) and len(server.asked) == n  # from the cache


def test_damaged_batches_and_archive_are_not_trusted(server, small):
    archive, cls, _ = small
    urls = [server.url("ok", "c")]
    good, _ = D.open_data("cifar10", dataset=cls, urls=urls, **QUICK)
    batch = cache_dir() / "cifar-10-batches-py/data_batch_2"
    batch.write_bytes(batch.read_bytes()[:-5])
    assert torch.equal(D.open_data("cifar10", dataset=cls, urls=[], **QUICK)[0].x, good.x)  # unpacked again
    batch.unlink()
    (cache_dir() / cls.filename).write_bytes(archive[:-5])
    assert torch.equal(D.open_data("cifar10", dataset=cls, urls=urls, **QUICK)[0].x, good.x)  # fetched again


def test_environment_names_archive_batches_or_folder(server, small, tmp_path, monkeypatch):
    archive, cls, first = small
    place = tmp_path / "place"; place.mkdir()
    monkeypatch.setenv("CIFAR10_NB_DATA", str(place))
    for source in ("auto", "cifar10"):
        with pytest.raises(InputError, match="CIFAR10_NB_DATA.*place"): D.open_data(source, dataset=cls, urls=[])
    (place / cls.filename).write_bytes(archive)
    assert len(D.open_data("auto", dataset=cls, urls=[])[0]) == 20
    assert os.listdir(place) == [cls.filename]  # a user's folder is only read
    (place / cls.filename).write_bytes(archive[:100])
    with pytest.raises(InputError, match="incomplete or damaged"): D.open_data("cifar10", dataset=cls, urls=[])
    monkeypatch.setenv("CIFAR10_NB_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="nowhere: no such folder"): D.open_data("auto", dataset=cls, urls=[])
    folder(tmp_path / "own")
    monkeypatch.setenv("CIFAR10_NB_DATA", str(tmp_path / "own"))
    assert D.open_data("cifar10", dataset=cls, urls=[])[0].source == "folder:own"


@pytest.mark.parametrize("kind", ["mute", "closed"])
def test_auto_without_network_draws_and_warns(server, small, capsys, kind):
    # five mirrors, the real limits: servers that take the connection and never answer are the slowest case
    urls = [server.url("mute", "c") + f"?{i}" if kind == "mute" else closed_port() for i in range(5)]
    drawn, D.drawn = D.drawn, lambda: drawn(20, 10)
    start = time.monotonic()
    try: train, _ = D.open_data("auto", dataset=small[1], urls=urls)
    finally: D.drawn = drawn
    assert time.monotonic() - start < 10
    out, err = capsys.readouterr()
    assert train.source == "drawn" and out == "" and "NOT THE REAL CIFAR-10" in err and str(cache_dir()) in err


def test_auto_with_a_part_does_not_draw(server, small):
    with pytest.raises(DownloadError, match="run again to resume"):
        D.open_data("auto", dataset=small[1], urls=[server.url("cut", "c")], **QUICK)
    with pytest.raises(DownloadError, match="run again to resume"):
        D.open_data("auto", dataset=small[1], urls=[closed_port()], **QUICK)


def test_unwritable_cache(small, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(DownloadError, match="cannot make the folder"):
        D.open_data("cifar10", dataset=small[1], urls=[closed_port()], **QUICK)
    folder(tmp_path / "own")
    assert len(D.open_data(tmp_path / "own")[0]) == 4
    assert "not cached" in capsys.readouterr().err


def fake_cifar100():
    "The same for CIFAR-100, with 20 images to train on and 10 to test."
    from torchvision.datasets import CIFAR100
    rng, files = np.random.default_rng(2), {}
    for name, n in (("train", 20), ("test", 10)):
        files[name] = pickle.dumps(dict(data=rng.integers(0, 256, (n, 3072), np.uint8), fine_labels=[int(v) for v in rng.integers(0, 100, n)]))
    files["meta"] = pickle.dumps(dict(fine_label_names=[f"kind {i}" for i in range(100)]))
    buf = io.BytesIO()
    with tarfile.open(fileobj=buf, mode="w:gz") as t:
        for name, b in files.items():
            info = tarfile.TarInfo(f"cifar-100-python/{name}"); info.size = len(b)
            t.addfile(info, io.BytesIO(b))
    md5 = {name: hashlib.md5(b).hexdigest() for name, b in files.items()}
    small = type("Small100", (CIFAR100,), dict(tgz_md5=hashlib.md5(buf.getvalue()).hexdigest(), meta=CIFAR100.meta | dict(md5=md5["meta"]),
                                               train_list=[["train", md5["train"]]], test_list=[["test", md5["test"]]]))
    return buf.getvalue(), small, pickle.loads(files["train"])


def test_cifar100_end_to_end(server, tmp_path, monkeypatch, capsys):
    server.files["c"], cls, first = fake_cifar100()
    train, test = D.open_data("cifar100", dataset=cls, urls=[server.url("ok", "c")], **QUICK)
    assert (len(train), len(test), train.source, train.n_classes) == (20, 10, "cifar100", 100)
    assert train.y.tolist() == first["fine_labels"] and train.x.numpy().reshape(20, 3072).tolist() == first["data"].tolist()
    assert "CIFAR-100 train: mean" in repr(train.describe())
    place = tmp_path / "place"; place.mkdir()
    (place / cls.filename).write_bytes(server.files["c"])
    for where in (place, place / cls.filename): assert D.open_data(where, dataset=cls, urls=[])[0].source == "cifar100"
    monkeypatch.setenv("CIFAR10_NB_DATA", str(place))
    assert D.open_data("cifar100", dataset=cls, urls=[])[1].source == "cifar100"


def test_cifar100_asks_its_own_mirrors(monkeypatch):
    from torchvision.datasets import CIFAR100
    from cifar10_nb.sources import archive
    asked = {}
    def note(urls, path, digest, **limits): asked.update(urls=urls, name=path.name, digest=digest, **limits); raise DownloadError("offline")
    monkeypatch.setattr(archive, "download", note)
    with pytest.raises(DownloadError): D.open_data("cifar100")
    assert asked["name"] == CIFAR100.filename and asked["digest"] == f"md5:{CIFAR100.tgz_md5}" and asked["size"] == 169_001_437
    assert asked["urls"] and all(u.endswith("/cifar-100-python.tar.gz") for u in asked["urls"])
    with pytest.raises(DownloadError): D.open_data("cifar10")
    assert asked["name"] == "cifar-10-python.tar.gz" and all(u.endswith("/cifar-10-python.tar.gz") for u in asked["urls"]) and asked["size"] == 170_498_071


def test_the_archive_and_what_it_was_unpacked_to_may_be_named(server, small, tmp_path):
    archive, cls, _ = small
    place = tmp_path / "place"; place.mkdir()
    (place / cls.filename).write_bytes(archive)
    assert len(D.open_data(place / cls.filename, dataset=cls, urls=[])[0]) == 20
    tarfile.open(place / cls.filename).extractall(place, filter="data")
    (place / cls.filename).unlink()
    for where in (place / "cifar-10-batches-py", f"{place}/cifar-10-batches-py/"):
        assert D.open_data(where, dataset=cls, urls=[])[0].source == "cifar10"
    (place / "cifar-10-batches-py/test_batch").unlink()
    with pytest.raises(InputError, match="incomplete or damaged"): D.open_data(place / "cifar-10-batches-py")


# -- folders

def folder(root, names=("train/a/0", "train/b/1", "train/a/2", "train/b/3", "test/a/0", "test/b/1"), size=32):
    for i, n in enumerate(names):
        (root / n).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (size, size), (i * 20, 0, 0)).save(root / f"{n}.png")
    return root


def test_folder_order_cache_and_hidden_files(tmp_path):
    f = folder(tmp_path / "own")
    for hidden in ("train/.DS_Store", "train/a/._0.png", ".x"): (f / hidden).write_text("x")
    (f / "train/.git").mkdir()
    train, test = D.open_data(str(f))
    assert train.x[:, 0, 5, 5].tolist() == [0, 20, 40, 60] and train.y.tolist() == [0, 1, 0, 1]
    cached = list(cache_dir().iterdir())
    assert [p.suffix for p in cached] == [".safetensors"] * 2  # one for train, one for test
    os.utime(f / "train/a/0.png", ns=(1, 1)); Image.new("RGB", (32, 32), (200, 0, 0)).save(f / "train/a/0.png")
    assert D.open_data(f)[0].x[0, 0, 0, 0] == 200  # a change is noticed
    for path in cached: path.write_bytes(path.read_bytes()[:500])
    assert D.open_data(f)[0].x[0, 0, 0, 0] == 200  # half a cache is not trusted
    assert sorted(cache_dir().iterdir()) == sorted(cached)


def test_folder_resizes_the_whole_picture(tmp_path):
    f = folder(tmp_path / "own", size=100)
    im = Image.new("RGB", (300, 100), "black"); im.paste("white", (150, 0, 300, 100)); im.save(f / "train/a/0.png")
    x = D.open_data(f)[0].x[0].float().mean(0)
    assert x.shape == (32, 32) and x[:, :14].max() < 9 and x[:, 18:].min() > 246


@pytest.mark.parametrize("change,message", [
    (lambda f: None, None),
    (lambda f: (f / "test").rename(f / "valid"), "no folder test/"),
    (lambda f: (f / "test/a").rename(f / "test/c"), "same classes.*a, c"),
    (lambda f: [p.unlink() for p in f.glob("test/*/*")], "no images in .*test"),
    (lambda f: (f / "train/b/3.png").write_bytes(b""), "3.png: not an image"),
    (lambda f: (f / "train/b/3.png").write_bytes((f / "train/b/1.png").read_bytes()[:60]), "3.png: cannot be read"),
    (lambda f: (f / "train/b/sub").mkdir(), "sub is a folder"),
    (lambda f: [q.unlink() for q in f.glob("*/b/*")] + [q.rmdir() for q in f.glob("*/b")], "two at least")])
def test_folder_mistakes(tmp_path, change, message):
    f = folder(tmp_path / "own")
    change(f)
    if message is None: return print(D.open_data(f))  # the folder is good without the mistake
    with pytest.raises(InputError, match=message) as e: D.open_data(f)
    assert "\n" not in str(e.value)


def test_source_that_is_none(tmp_path):
    folder(tmp_path / "flowers")
    with pytest.raises(InputError, match="did you mean .*flowers"): D.open_data(tmp_path / "flower")
    with pytest.raises(InputError, match="did you mean cifar10"): D.open_data("cifar-10")
    with pytest.raises(InputError, match="neither train/"): D.open_data(tmp_path / "flowers/train")
    (tmp_path / "f.zip").write_text("")
    with pytest.raises(InputError, match="no such folder"): D.open_data(tmp_path / "f.zip")


# -- files

@pytest.mark.parametrize("mode,colour,want,ext", [
    ("1", 1, (255, 255, 255), "png"), ("L", 100, (100,) * 3, "png"), ("LA", (0, 0), (255,) * 3, "png"),
    ("RGBA", (255, 0, 0, 0), (255,) * 3, "png"), ("RGBA", (255, 0, 0, 255), (255, 0, 0), "webp"),
    ("I;16", 65535, (255,) * 3, "png"), ("I;16", 257 * 70, (70,) * 3, "tiff"), ("I", 40000, (156,) * 3, "tiff"),
    ("F", 1., (255,) * 3, "tiff"), ("F", 100., (100,) * 3, "tiff"), ("P", 0, (0, 0, 0), "gif"),
    ("CMYK", (0, 255, 255, 0), (254, 0, 0), "jpg"), ("YCbCr", (255, 128, 128), (255,) * 3, "jpg")])
def test_odd_modes(tmp_path, mode, colour, want, ext):
    im = Image.new(mode, (40, 20), colour)
    if mode == "P": im.putpalette([0, 0, 0] * 256)
    p = tmp_path / f"i.{ext}"
    im.save(p, **(dict(lossless=True) if ext == "webp" else {}))
    got = open_image(p)
    assert (got.mode, got.size) == ("RGB", (40, 20))
    assert max(abs(a - b) for a, b in zip(got.getpixel((20, 10)), want)) <= 2, got.getpixel((20, 10))
    assert open_image(p, 32).size == (32, 32)


def test_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (9, 9), c) for c in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert open_image(tmp_path / "a.gif").getpixel((4, 4)) == (255, 0, 0)


def test_unreadable_files_are_named(tmp_path):
    for name, message in (("none.png", "none.png: no such file"), (".", "is a folder")):
        with pytest.raises(InputError, match=message): open_image(tmp_path / name)


# -- the module itself

def test_batches_and_samples_are_reproducible():
    s = D.ImageSet(torch.zeros(50, 3, 4, 4, dtype=torch.uint8), torch.arange(50) % 5, list("abcde"), "zeros")
    order = lambda seed: torch.cat([i for _, _, i in D.Batches(s, 7, seed=seed)])
    before = torch.get_rng_state()
    assert torch.equal(order(1), order(1)) and not torch.equal(order(1), order(2))
    assert torch.equal(torch.cat([i for _, _, i in D.Batches(s, 7, shuffle=False)]), torch.arange(50))
    s.split(10), s.subset(7)
    assert torch.equal(before, torch.get_rng_state())  # nobody else's chance is touched
    with pytest.raises(InputError): D.Batches(s, 0)


def test_one_of_two_archives_in_a_folder(small, tmp_path, monkeypatch):
    "The one that was named is opened, whatever lies beside it."
    archives = {small[1]: small[0], (cls := fake_cifar100()[1]): fake_cifar100()[0]}
    for c, archive in archives.items(): (tmp_path / c.filename).write_bytes(archive)
    folder(tmp_path)
    for c, source in zip(archives, ("cifar10", "cifar100")):
        assert D._open_place(tmp_path / c.filename, [*archives])[0].source == source
    assert D._open_place(tmp_path, [*archives])[0].source.startswith("folder:")
    monkeypatch.setenv("CIFAR10_NB_DATA", str(tmp_path))  # and a folder of a few classes is not CIFAR-100
    with pytest.raises(InputError, match="is not CIFAR-100: unset it, or say with --data"): D.open_data("cifar100", dataset=cls, urls=[])


def test_what_is_taken_of_large_images_fits_into_memory():
    large = D.ImageSet(torch.randint(0, 256, (400, 3, 224, 224), dtype=torch.uint8), torch.arange(400) % 2, ["a", "b"], "made")
    assert len(D.some_of(large)) < 150
    assert torch.allclose(torch.tensor(large.describe()["mean"]), large.x.float().mean((0, 2, 3)) / 255, atol=1e-6)
