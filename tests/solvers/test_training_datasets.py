"""Thin trainings on NYUDv2, SIFT Flow and PASCAL-Context in miniature: sources, resume, inputs, tasks, stages."""

import numpy as np
import pytest
from click.testing import CliRunner

from caffe_compat.errors import WeightsError
from caffe_compat.net.net import Net
from caffe_compat.proto.caffe_pb2 import TEST
from data_prep.cli import main as data_prep
from nets.catalogue import lookup
from nets.classifiers import build
from nets.sources import InputData
from solvers.measured import score_weights
from solvers.recipes import RECIPES, chain, recipe
from solvers.report import Table
from solvers.stages import train as train_stages
from solvers.training import latest_snapshot, weights_of

MODELS = ("nyud-fcn32s-color-hha", "siftflow-fcn32s", "pascalcontext-fcn32s")
METRICS = ("pixel_accuracy", "mean_accuracy", "mean_iu", "fw_iu")


@pytest.fixture(scope="module")
def unbroken(thin, data_of, tmp_path_factory):
    """Function: a model's four iterations from files; each is run once. Gives the training and its scores."""
    done = {}

    def run(model):
        if model not in done:
            folder = tmp_path_factory.mktemp("unbroken")
            training = thin.thin_training(data_of(lookup(model).dataset), folder, model=model)
            done[model] = training, training.run(progress=False)
        return done[model]

    return run


@pytest.mark.parametrize("model", [name for name in RECIPES if name not in MODELS])
def test_every_model_is_checked_trained_and_scored_on_its_dataset(thin, data_of, tmp_path, model):
    training = thin.thin_training(data_of(lookup(model).dataset), tmp_path, 1, model=model, width=1 / 16)
    assert training.check().faults == []
    scores = training.run(progress=False)
    assert list(scores) == [task.name for task in lookup(model).tasks]
    assert all(one.images == 2 and np.isfinite(one.loss) for one in scores.values())
    assert len(training.losses.column("loss_per_pixel")) == 1


@pytest.mark.parametrize("model", MODELS)
def test_losses_and_scores_of_every_task_are_kept(unbroken, model):
    training, scores = unbroken(model)
    tasks = lookup(model).tasks
    assert list(scores) == [task.name for task in tasks]
    assert all(one.images == 2 for one in scores.values())
    start = [np.log(task.classes) for task in tasks]  # scores are still 0
    assert training.losses.column("loss_per_pixel")[0] == pytest.approx(sum(start), rel=1e-5)
    assert len(set(training.losses.column("loss"))) == 4
    for task, one in scores.items():
        prefix = f"{task}_" if task else ""
        assert [training.scores.column(f"{prefix}{name}").tolist() for name in METRICS] == [
            [getattr(one, name)] for name in METRICS
        ]
    if len(tasks) == 1:
        assert training.losses.columns == ["iteration", "loss", "loss_per_pixel"]
        assert training.scores.columns == ["iteration", *METRICS]
        return
    for task, first in zip(tasks, start, strict=True):
        assert training.losses.column(f"{task.name}_loss_per_pixel")[0] == pytest.approx(first, rel=1e-5)
    parts = [training.losses.column(f"{task.name}_loss") for task in tasks]
    np.testing.assert_allclose(sum(parts), training.losses.column("loss"), rtol=1e-5)
    log = (training.folder / "train.log").read_text()
    for task in tasks:
        assert f"Iteration 4 {task.name} mean IU {scores[task.name].mean_iu}" in log


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("nyud-fcn32s-color-hha", ["nyud", "--source", "{data}/nyud", "--list-file", "{lists}/trainval.txt"]),
        (
            "siftflow-fcn32s",
            ["siftflow", "--source", "{data}/sift-flow", "--list-file", "{data}/sift-flow/trainval.txt"],
        ),
        ("pascalcontext-fcn32s", ["pascalcontext", "--source", "{data}", "--split", "train", "--split", "val"]),
    ],
)
def test_the_lmdbs_of_data_prep_give_the_same_training(unbroken, thin, data_of, tmp_path, model, options, snapshots):
    training, _ = unbroken(model)
    known = lookup(model)
    data = data_of(known.dataset)
    words = [one.format(data=data, lists=training.folder / "lists") for one in options]
    if "--list-file" in words:
        words += ["--list-file", str(training.folder / "lists" / "test.txt")]
    made = CliRunner().invoke(data_prep, [*words, "--out", str(tmp_path / "data" / "lmdb")])
    assert made.exit_code == 0, made.output
    other = thin.thin_training(tmp_path / "data", tmp_path / "runs", model=model, read="lmdb")
    where = tmp_path / "data" / "lmdb" / f"{known.dataset}_{known.train_split}"
    assert f"  train     3 images, LMDBs {where} (the whole list has " in str(other.check())
    other.run(progress=False)
    assert not (other.folder / "lmdb").exists()
    for name in ("losses.csv", "scores.csv"):
        assert (other.folder / name).read_text() == (training.folder / name).read_text()
    snapshots.assert_same_bits(latest_snapshot(other.folder), latest_snapshot(training.folder))


def test_siftflow_of_the_dataset_s_own_list_is_prepared_and_trained(thin, miniatures, tmp_path):
    """Without the release's lists: data_prep and solve.py make the same of TestSet1.txt."""
    data = tmp_path / "data"
    root = miniatures.make_siftflow(data)
    for name in ("trainval.txt", "test.txt"):
        (data / "sift-flow" / name).unlink()
    test = [f"{miniatures.SCENES}\\{one}.jpg\n" for one in ("coast_sun14", "street_urb885")]
    (root / "TestSet1.txt").write_text("".join(test))
    made = CliRunner().invoke(data_prep, ["siftflow", "--source", str(data), "--out", str(data / "lmdb")])
    assert made.exit_code == 0, made.output
    done = {}
    for read in ("files", "lmdb"):
        training = thin.thin_training(data, tmp_path / read, 2, model="siftflow-fcn8s", read=read)
        assert training.workplace.splits.train.ids == ["coast_natu975", "forest_for114", "street_par29"]
        assert [one.images for one in training.run(progress=False).values()] == [2, 2]
        done[read] = (training.folder / "losses.csv").read_text()
    assert done["files"] == done["lmdb"]


@pytest.mark.parametrize("model", MODELS)
def test_lmdbs_built_for_the_training_and_a_resumed_one_are_the_unbroken_one(
    unbroken, thin, data_of, tmp_path, model, snapshots
):
    training, _ = unbroken(model)
    data = data_of(lookup(model).dataset)
    thin.thin_training(data, tmp_path, 2, model=model, read="lmdb").run(score_every=0, progress=False)
    resumed = thin.thin_training(data, tmp_path, model=model, read="lmdb", resume=True)
    assert resumed.origin == "train_iter_2.solverstate, with data position and random states"
    resumed.run(progress=False)
    assert {path.name.partition("_")[0] for path in (resumed.folder / "lmdb").iterdir()} == {lookup(model).dataset}
    for name in ("losses.csv", "scores.csv"):
        assert (resumed.folder / name).read_text() == (training.folder / name).read_text()
    snapshots.assert_same_bits(latest_snapshot(resumed.folder), latest_snapshot(training.folder))


@pytest.mark.parametrize("model", MODELS)
def test_weights_score_as_they_did_in_their_training(unbroken, thin, data_of, model):
    training, scores = unbroken(model)
    data = data_of(lookup(model).dataset)
    for read in ("files", "lmdb"):
        measured = score_weights(model, training.weights, data, read, width=thin.WIDTH, progress=False)
        assert (measured.model, measured.images) == (model, 2)
        assert measured.split == lookup(model).test_split
        assert list(measured.scores) == list(scores)
        for task, one in measured.scores.items():
            assert np.array_equal(one.hist, scores[task].hist)


def test_the_check_tells_of_every_task(unbroken):
    training, _ = unbroken("siftflow-fcn32s")
    found = training.check()
    assert not found.faults
    text = str(found)
    assert "  labels    semantic: classes " in text
    assert "  labels    geometric: classes 0 to 2 and void (255) in 3 opened; all within range" in text
    assert "  rate      geometric: base_lr 1e-08 on the sum over pixels = " in text
    assert " at 256 x 256" in text


def test_the_check_opens_every_input(unbroken, thin, miniatures, tmp_path):
    folder = miniatures.make_nyud(tmp_path / "data")
    training = thin.thin_training(tmp_path / "data", tmp_path / "runs", model="nyud-fcn32s-color-d")
    assert "  labels    classes 0 to " in str(training.check())
    folder.picture_path("depth", "5005").write_bytes(b"garbage")
    with pytest.raises(Exception, match=r"depth '.*img_5005\.png'"):
        training.check()


# -- starting weights --------------------------------------------------------------------------------------------------


@pytest.fixture
def vgg(thin, tmp_path):
    """A thin VGG-16 of random weights."""
    net = Net(build("vgg-d", InputData({"data": (1, 3, 224, 224)}), classes=10, width=thin.WIDTH), TEST, keep=[])
    net.save(tmp_path / "vgg.caffemodel")
    return tmp_path / "vgg.caffemodel"


def test_depth_starts_from_the_mean_of_the_colour_kernels(thin, data_of, tmp_path, vgg, snapshots):
    training = thin.thin_training(
        data_of("nyud"), tmp_path / "runs", 1, model="nyud-fcn32s-color-d", weights=vgg, change_net=None
    )
    old, new = snapshots.blobs_of(vgg)["conv1_1/0"], training.solver.net.params["conv1_1_bgrd"][0].data
    assert np.array_equal(new[:, :3], old)
    np.testing.assert_allclose(new[:, 3], old.mean(axis=1), rtol=1e-6)
    found = training.check()
    assert not found.faults
    assert "conv1_1_bgrd" not in str(found)
    training.run(score_every=0, progress=False)
    assert training.finished


def test_two_streams_start_from_two_files(thin, data_of, tmp_path, capsys, snapshots):
    data, files = data_of("nyud"), {}
    for stream in ("color", "hha"):
        first = thin.thin_training(data, tmp_path / "first", 1, model=f"nyud-fcn32s-{stream}")
        first.run(score_every=0, progress=False)
        files[stream] = first.weights
    workplace = thin.thin_workplace(data, tmp_path / "first", model="nyud-fcn32s-color-hha", change_net=None)
    train_stages(recipe("nyud-fcn32s-color-hha"), workplace, 1, (), False, False, True)
    printed = capsys.readouterr().out
    assert printed.startswith("".join(f"nyud-fcn32s-color-hha: starts from {path}\n" for path in files.values()))
    assert f"  weights   {files['color']}, {files['hha']}\n" in printed
    training = thin.thin_training(
        data, tmp_path, 1, model="nyud-fcn32s-color-hha", weights=list(files.values()), change_net=None
    )
    assert training.origin == f"{files['color']}, {files['hha']}"
    for stream, path in files.items():
        stored = snapshots.blobs_of(path)
        for layer in ("conv1_1", "fc7", "score_fr"):
            assert np.array_equal(training.solver.net.params[f"{layer}{stream}"][0].data, stored[f"{layer}/0"])
    assert not training.check().faults
    training.run(progress=False)
    # its own snapshot is one file with both streams
    again = thin.thin_training(
        data, tmp_path / "again", 1, model="nyud-fcn32s-color-hha", weights=training.weights, change_net=None
    )
    assert len(again.report.copied) > 60
    wanted = (
        "none of its layers is in nyud-fcn32s-color-hha; give --init for each of nyud-fcn32s-color and nyud-fcn32s-hha"
    )
    with pytest.raises(WeightsError, match=wanted):
        thin.thin_training(data, tmp_path / "one", 1, model="nyud-fcn32s-color-hha", weights=files["color"])


@pytest.mark.parametrize("model", ["nyud-fcn16s-color-hha", "siftflow-fcn8s", "pascalcontext-fcn8s"])
def test_the_chain_of_stages(thin, data_of, tmp_path, capsys, model):
    workplace = thin.thin_workplace(data_of(lookup(model).dataset), tmp_path, model=model)
    train_stages(recipe(model), workplace, 2, (), False, True, False)
    printed = capsys.readouterr().out
    names = [stage.model for stage in chain(model)]
    weights = {name: weights_of(latest_snapshot(tmp_path / name)) for name in names}
    assert [line for line in printed.splitlines() if "finished" in line] == [
        f"{name}: finished; {path}" for name, path in weights.items()
    ]
    for stage in chain(model):
        if stage.predecessors:
            assert f"  weights   {', '.join(str(weights[name]) for name in stage.predecessors)}\n" in printed
    last = Table(tmp_path / model / "scores.csv", ["iteration", *_columns(model)], 10**9)
    assert last.column("iteration").tolist() == [2]


def _columns(model):
    return [f"{task.name}_{name}" if task.name else name for task in lookup(model).tasks for name in METRICS]
