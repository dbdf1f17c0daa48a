"""What every verb must do: name each fault, survive SIGKILL and a full disk, and verify what it wrote."""

import json
import shutil
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from click.testing import CliRunner
from PIL import Image

from caffe_compat.layer.data.lmdb_source import LMDBReader
from data_prep.cli import main
from data_prep.labels import encode_label, voc_palette
from data_prep.nyud import encode_segmentation
from data_prep.png_files import write_png

ROOT = Path(__file__).resolve().parents[2]
IDS = ["a1", "b2", "c3", "d4"]
SCENES = "spatial_envelope_256x256_static_8outdoorcategories"
RANDOM = np.random.RandomState(5)


def run(*arguments):
    return CliRunner().invoke(main, [str(one) for one in arguments])


@dataclass
class Miniature:
    """A dataset of four samples and the command that prepares it."""

    verb: str
    root: Path
    image: str  # below root, with {}
    label: str
    options: tuple[str, ...] = ()
    name: str = ""  # of the finished folder below --out
    size: tuple[int, int] = (24, 32)

    def command(self, out, *more):
        return [self.verb, "--source", self.root, "--out", out, *self.options, *more]

    def image_file(self, one):
        return self.root / self.image.format(one)

    def label_file(self, one):
        return self.root / self.label.format(one)

    def write_image(self, one, size=None):
        path = self.image_file(one)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RANDOM.randint(0, 256, (*(size or self.size), 3)).astype(np.uint8)).save(path)

    def write_label(self, one, values):
        """H x W as the dataset's own files have them, or H x W x 3: colours, which are no label."""
        path = self.label_file(one)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".png" and values.ndim == 3:
            Image.fromarray(values).save(path)
        elif path.suffix == ".png":
            path.write_bytes(encode_label(values, voc_palette()))
        elif self.verb == "nyud":
            path.write_bytes(encode_segmentation(values, "a test"))
        else:
            variable = {"siftflow": "S", "pascalcontext": "LabelMap"}.get(self.verb)
            scipy.io.savemat(path, {variable: values} if variable else {"GTcls": {"Segmentation": values}})

    def write_list(self, where, name="train"):
        path = self.root / where / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{one}\n" for one in IDS))


def draw(verb, root):
    """One of the miniatures."""
    layouts = {
        "voc": ("VOC2011/JPEGImages/{}.jpg", "VOC2011/SegmentationClass/{}.png", "voc2011_train"),
        "sbd": ("dataset/img/{}.jpg", "dataset/cls/{}.mat", "sbd_train"),
        "siftflow": (f"Images/{SCENES}/{{}}.jpg", f"SemanticLabels/{SCENES}/{{}}.mat", "siftflow_trainval"),
        "pascalcontext": ("VOC2010/JPEGImages/{}.jpg", "trainval/{}.mat", "pascalcontext_train"),
        "folder": ("images/{}.jpg", "labels/{}.png", "folder_train"),
        "nyud": ("data/images/img_{}.png", "segmentation/img_{}.mat", "nyud_train"),
    }
    lists = {"voc": "VOC2011/ImageSets/Segmentation", "sbd": "dataset", "pascalcontext": "VOC2010/ImageSets/Main"}
    image, label, name = layouts[verb]
    made = Miniature(verb, root, image, label, name=name, size=(256, 256) if verb == "siftflow" else (24, 32))
    for one in IDS:
        made.write_image(one)
        made.write_label(one, RANDOM.randint(1, 4, made.size).astype(np.uint8))
    made.write_list(lists.get(verb, ""), "trainval" if verb == "siftflow" else "train")
    if verb == "siftflow":
        (root / "GeoLabels" / SCENES).mkdir(parents=True)
        for one in IDS:
            geometric = RANDOM.randint(-1, 4, made.size).astype(np.int16)
            scipy.io.savemat(root / "GeoLabels" / SCENES / f"{one}.mat", {"S": geometric})
    if verb == "pascalcontext":
        names = ["table", "bedclothes", "cloth", *(f"kind{i}" for i in range(56))]
        task = ["diningtable", "bedcloth", "clothes", *names[3:]]
        for file, listed in (("labels.txt", names), ("59_labels.txt", task)):
            (root / file).write_text("".join(f"{i}: {one}\n" for i, one in enumerate(listed, start=1)))
    if verb == "folder":
        (root / "classes.txt").write_text("sky\nroad\ncar\nperson\n")
    if verb == "nyud":
        for kind, channels, low in (("depth", (), 500), ("hha", (3,), 0)):
            (root / "data" / kind).mkdir()
            for one in IDS:
                values = RANDOM.randint(low, 9000 if kind == "depth" else 256, (*made.size, *channels))
                write_png(root / "data" / kind / f"img_{one}.png", values.astype("u2" if kind == "depth" else "u1"))
    return made


LMDB_VERBS = ["voc", "sbd", "siftflow", "pascalcontext", "folder", "nyud"]


@pytest.fixture(scope="session")
def drawn_verbs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verbs")
    return {verb: draw(verb, folder / verb) for verb in LMDB_VERBS}


@pytest.fixture
def miniature(drawn_verbs, tmp_path):
    """Gives a verb's miniature in a folder of the test's own."""

    def copy(verb):
        made = drawn_verbs[verb]
        shutil.copytree(made.root, tmp_path / "source")
        return Miniature(**{**vars(made), "root": tmp_path / "source"})

    return copy


def rows(output):
    """The summary's cells by list: images, published, kept, faults, classes, state, folder."""
    table = [line.split() for line in output[output.index("list ") :].splitlines()]
    return {row[0]: dict(zip(table[0][1:6], row[1:6], strict=True)) | {"rest": " ".join(row[6:])} for row in table[1:]}


def content(folder):
    """Every record and every file beside them."""
    found = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    return found | {path.parent.name: dict(LMDBReader(path.parent).items()) for path in folder.glob("*/data.mdb")}


# -- faults ------------------------------------------------------------------------------------------------------------


def damaged_image(made, one):
    made.image_file(one).write_bytes(made.image_file(one).read_bytes()[:300])
    return f"image '{made.image_file(one)}' is damaged or not an image"


def another_size(made, one):
    height, width = made.size
    made.write_label(one, np.ones((height, width - 1), np.uint8))
    return f"label '{made.label_file(one)}' is {width - 1} x {height} pixels (width x height) but image '"


def missing_label(made, one):
    made.label_file(one).unlink()
    return f"label '{made.label_file(one)}' is missing"


def value_outside(made, one):
    label = np.ones(made.size, np.uint8)
    label[2, 3] = 77
    made.write_label(one, label)
    return f"label '{made.label_file(one)}': value 77 at row 2, column 3 is outside "


def colours(made, one):
    made.write_label(one, np.full((*made.size, 3), 128, np.uint8))
    if made.label_file(one).suffix == ".png":
        return f"label '{made.label_file(one)}' is an image of mode RGB; wanted class numbers"
    variable = {"siftflow": "S", "pascalcontext": "LabelMap", "sbd": "GTcls.Segmentation", "nyud": "segmentation"}
    return f"label '{made.label_file(one)}': {variable[made.verb]} is 3-D"


@pytest.mark.parametrize("fault", [damaged_image, another_size, missing_label, value_outside, colours])
@pytest.mark.parametrize("verb", LMDB_VERBS)
def test_each_fault_is_named_reported_and_counted(miniature, tmp_path, verb, fault):
    made, out = miniature(verb), tmp_path / "out"
    message = fault(made, IDS[1])
    made.image_file(IDS[3]).unlink()
    for build, report in (("--lmdb", f"{made.name}.partial/faults.txt"), ("--no-lmdb", f"{made.name}.faults.txt")):
        done = run(*made.command(out, build))
        assert done.exit_code == 1
        assert message in done.stderr
        assert f"'{made.image_file(IDS[3])}' is missing" in done.stderr
        assert "2 faulty samples; repair the files or shorten the lists, and run again" in done.stderr
        assert [row["faults"] for row in rows(done.stdout).values()] == ["2"]
        first, second = (out / report).read_text().splitlines()
        assert message in first
        assert str(made.image_file(IDS[3])) in second
        assert f"all 2 faults are listed in '{out / report}'" in done.stderr
    assert not (out / made.name).exists()
    assert LMDBReader(out / f"{made.name}.partial/image_lmdb").keys_count == 2
    for build in ("--lmdb", "--no-lmdb"):
        strict = run(*made.command(out, build, "--strict"))
        assert strict.exit_code == 1
        assert message in strict.output
        assert str(made.image_file(IDS[3])) not in strict.output


# -- interruptions -----------------------------------------------------------------------------------------------------

KILLED = """
    import os, signal, sys
    from data_prep import file_writer, lmdb_build, lmdb_writer
    from data_prep.cli import main

    lmdb_build._MOST_RECORDS = 1
    safe = []

    def dying(real):
        def call(*arguments):
            real(*arguments)
            safe.append(1)
            if len(safe) == 2:
                os.kill(os.getpid(), signal.SIGKILL)
        return call

    if sys.argv[1] == "files":
        file_writer._append = dying(file_writer._append)
    elif sys.argv[1] == "rename":
        lmdb_writer._rename = lambda partial, folder: os.kill(os.getpid(), signal.SIGKILL)
    else:
        lmdb_build.Build.commit = dying(lmdb_build.Build.commit)
    main(sys.argv[2:])
"""


def killed(step, command):
    """Run a command in a process of its own that gets SIGKILL once two samples are safe."""
    code = [sys.executable, "-c", textwrap.dedent(KILLED), step, *map(str, command)]
    done = subprocess.run(code, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr


@pytest.mark.parametrize("verb", LMDB_VERBS)
def test_a_killed_run_leaves_nothing_that_looks_finished_and_goes_on(miniature, tmp_path, verb):
    made, out = miniature(verb), tmp_path / "out"
    killed("databases", made.command(out))
    assert not (out / made.name).exists()
    unfinished = run("verify", out)
    assert unfinished.exit_code == 1
    assert f"{made.name}.partial' is unfinished; run the command that writes it again" in unfinished.stderr
    (out / f"{made.name}.partial/.samples.jsonl.1.abc.tmp").write_bytes(b"cut off")
    again = run(*made.command(out, "--verify"))
    assert again.exit_code == 0, again.output
    row = next(iter(rows(again.stdout).values()))
    assert (row["images"], row["kept"]) == ("4", "2")
    assert row["rest"] == f"verified {out / made.name}"
    assert run(*made.command(tmp_path / "unbroken")).exit_code == 0
    assert content(out / made.name) == content(tmp_path / "unbroken" / made.name)


def test_killed_between_the_last_record_and_the_name(miniature, tmp_path):
    """All is in, and still nothing looks finished; the next run makes nothing again."""
    made, out = miniature("folder"), tmp_path / "out"
    killed("rename", made.command(out))
    assert (out / f"{made.name}.partial/manifest.json").exists()
    assert not (out / made.name).exists()
    assert "is unfinished; run the command" in run("verify", out).stderr
    again = run(*made.command(out, "--verify"))
    assert again.exit_code == 0, again.output
    assert rows(again.stdout)["train"]["kept"] == "4"
    assert run(*made.command(tmp_path / "unbroken")).exit_code == 0
    assert content(out / made.name) == content(tmp_path / "unbroken" / made.name)


@pytest.fixture
def depths(tmp_path):
    """Four depth images and the command that makes HHA of them."""
    rows_down = np.arange(60)[:, None] / 60
    for one in IDS:
        depth = (3 - 1.5 * rows_down**2) * 1000 + RANDOM.uniform(-5, 5, (60, 80))
        (tmp_path / "depth").mkdir(exist_ok=True)
        write_png(tmp_path / "depth" / f"{one}.png", depth.astype(np.uint16))
    return lambda out, *more: ["hha", "--depth", tmp_path / "depth", "--out", out, "--camera", "60,61,40,30", *more]


def files(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_killed_run_of_hha_goes_on(depths, tmp_path):
    out = tmp_path / "out"
    killed("files", depths(out))
    assert not (out / "manifest.json").exists()
    unfinished = run("verify", out)
    assert unfinished.exit_code == 1
    assert "out' is unfinished; run the command that writes it again" in unfinished.stderr
    stamp = (out / "a1.png").stat().st_mtime_ns
    again = run(*depths(out, "--verify"))
    assert again.exit_code == 0, again.output
    row = rows(again.stdout)["hha"]
    assert (row["images"], row["kept"], row["rest"]) == ("4", "2", f"verified {out}")
    assert (out / "a1.png").stat().st_mtime_ns == stamp
    assert run(*depths(tmp_path / "unbroken")).exit_code == 0
    assert files(out) == files(tmp_path / "unbroken")


def test_a_killed_run_over_a_finished_folder_leaves_it_unfinished(depths, tmp_path):
    """Half of the files are of other settings then."""
    out = tmp_path / "out"
    assert run(*depths(out)).exit_code == 0
    killed("files", depths(out, "--per-metre", "900"))
    assert not (out / "manifest.json").exists()
    assert "out' is unfinished; run the command that writes it again" in run("verify", out).stderr
    again = run(*depths(out, "--per-metre", "900", "--verify"))
    assert again.exit_code == 0, again.output
    assert rows(again.stdout)["hha"]["kept"] == "2"
    assert [one["per_metre"] for one in json.loads((out / "manifest.json").read_text())["settings"]] == [900.0]


@pytest.mark.parametrize("step", ["files", "databases"])
def test_a_killed_run_of_nyuds_own_file_goes_on(nyud_source, tmp_path, step):
    out, command = tmp_path / "out", ["nyud", "--source", nyud_source.folder, "--out"]
    killed(step, [*command, out])
    assert (out / "manifest.json").exists() == (step == "databases")
    assert not (out / "nyud_trainval").exists()
    assert run("verify", out).exit_code == 1
    again = run(*command, out, "--verify")
    assert again.exit_code == 0, again.output
    kept = {name: row["kept"] for name, row in rows(again.stdout).items()}
    assert kept == {"files": "2" if step == "files" else "4", "trainval": "0" if step == "files" else "2", "test": "0"}
    assert {row["rest"].split()[0] for row in rows(again.stdout).values()} == {"verified"}


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="children are looked up in /proc")
def test_a_killed_run_takes_its_processes_with_it(depths, tmp_path):
    """SIGKILL leaves the parent no time to stop them; what they began to write is taken away by the next run."""
    for one in range(40):
        shutil.copy(tmp_path / "depth/a1.png", tmp_path / f"depth/e{one:02d}.png")
    command = [sys.executable, "-m", "data_prep", *map(str, depths(tmp_path / "out", "--jobs", "2"))]
    parent = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    deadline = time.monotonic() + 60
    while not list((tmp_path / "out").glob("*.png")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    workers = children.read_text().split()
    assert len(workers) >= 2
    parent.kill()
    assert parent.wait() == -9
    while any(Path(f"/proc/{worker}/exe").exists() for worker in workers):
        assert time.monotonic() < deadline, "a worker goes on though its parent is gone"
        time.sleep(0.01)
    (tmp_path / "out/.e00.png.1.abc.tmp").write_bytes(b"cut off")
    again = run(*depths(tmp_path / "out", "--verify"))
    assert again.exit_code == 0, again.output
    assert not list((tmp_path / "out").glob(".*"))


FULL = """
    import resource, sys
    from data_prep.cli import main
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
    main(sys.argv[2:])
"""


def without_room(size, command):
    """Run a command in a process whose files may not grow beyond ``size`` bytes: writing gives a true OSError."""
    code = [sys.executable, "-c", textwrap.dedent(FULL), str(size), *map(str, command)]
    return subprocess.run(code, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("verb", LMDB_VERBS)
def test_a_full_disk_is_named_and_the_run_goes_on_later(miniature, tmp_path, verb):
    made, out = miniature(verb), tmp_path / "out"
    done = without_room(12_000, made.command(out))
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "make room or correct the permissions and run again: it goes on where it stopped" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (out / made.name).exists()
    assert run("verify", out).exit_code == 1
    again = run(*made.command(out, "--verify"))
    assert again.exit_code == 0, again.output


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_full_disk_stops_hha(depths, tmp_path, jobs):
    out = tmp_path / "out"
    done = without_room(2_000, depths(out, "--jobs", jobs))
    assert done.returncode == 1
    assert "out' cannot be written" in done.stderr
    assert "it goes on where it stopped" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in out.iterdir()] == [], "no file that is cut off, and no manifest"
    assert run(*depths(out, "--verify")).exit_code == 0


def test_a_full_disk_stops_nyuds_files(nyud_source, tmp_path):
    out = tmp_path / "out"
    done = without_room(50_000, ["nyud", "--source", nyud_source.folder, "--out", out])
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert [path for path in out.rglob("*") if path.name.endswith(".tmp")] == []
    for path in out.glob("data/*/*.png"):
        with Image.open(path) as image:
            image.load()
    assert not (out / "manifest.json").exists()
    assert run("verify", out).exit_code == 1


def test_lists_on_a_full_disk_are_named_too(miniature, tmp_path):
    made = miniature("voc")
    done = without_room(5, made.command(tmp_path / "out"))
    assert done.returncode == 1
    assert "lists' cannot be written" in done.stderr


# -- the summary -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", LMDB_VERBS)
def test_every_verb_shows_progress_and_a_table_and_verifies_what_is_there(miniature, tmp_path, verb):
    made, out = miniature(verb), tmp_path / "out"
    first = run(*made.command(out))
    assert first.exit_code == 0, first.output
    assert f"{made.name}: 100%" in first.stderr
    assert first.stdout.splitlines()[0].split() == [
        *("list", "images", "published", "kept", "faults", "classes", "state", "folder")
    ]
    assert "verify" not in first.stderr
    again = run(*made.command(out, "--verify", "--jobs", "2" if verb == "voc" else "1"))
    assert again.exit_code == 0, again.output
    assert f"verify {made.name}: 100%" in again.stderr
    row = next(iter(rows(again.stdout).values()))
    assert (row["images"], row["kept"], row["rest"].split()[0]) == ("4", "4", "verified")
    nothing = run(*made.command(out, "--verify", "--no-lmdb"))
    assert nothing.exit_code in (1, 2)
    assert "--verify reads again what is written, and --no-lmdb writes nothing" in nothing.stderr
    alone = run("verify", out / made.name)
    assert alone.exit_code == 0, alone.output
    assert rows(alone.stdout)[made.name]["images"] == "4"
    manifest = json.loads((out / made.name / "manifest.json").read_text())
    assert manifest["format"] == 2
    assert {one["records"] for one in manifest["databases"].values()} == {4}
