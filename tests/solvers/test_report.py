"""Tables that go on after a resume, and the picture of the learning curve."""

import numpy as np
from PIL import Image

from solvers.report import Table, learning_curve

COLUMNS = ["iteration", "loss"]


def filled(path, iterations, until=0):
    table = Table(path, COLUMNS, until)
    for iteration in iterations:
        table.add({"iteration": iteration, "loss": iteration / 3})
    return table


def test_rows_come_back_in_full_precision(tmp_path):
    table = filled(tmp_path / "t.csv", range(4))
    assert (tmp_path / "t.csv").read_text().splitlines()[:2] == ["iteration,loss", "0,0.0"]
    assert table.column("loss").tolist() == [0, 1 / 3, 2 / 3, 1]
    assert table.column("iteration").dtype == np.float64


def test_a_table_goes_on_where_the_run_does(tmp_path):
    filled(tmp_path / "t.csv", range(6))
    table = filled(tmp_path / "t.csv", [3, 4], until=3)
    assert table.column("iteration").tolist() == [0, 1, 2, 3, 4]


def test_a_new_run_begins_anew(tmp_path):
    filled(tmp_path / "t.csv", range(6))
    assert Table(tmp_path / "t.csv", COLUMNS).column("iteration").size == 0


def test_a_row_cut_off_by_a_kill_is_dropped(tmp_path):
    filled(tmp_path / "t.csv", range(3))
    with (tmp_path / "t.csv").open("a") as file:
        file.write("1")
    assert Table(tmp_path / "t.csv", COLUMNS, until=100).column("iteration").tolist() == [0, 1, 2]


def test_a_table_of_other_columns_is_not_continued(tmp_path):
    (tmp_path / "t.csv").write_text("iteration,accuracy\n0,1\n")
    assert Table(tmp_path / "t.csv", COLUMNS, until=5).column("loss").size == 0


def stage(folder, name, losses, ious):
    tables = (
        Table(folder / f"{name}-losses.csv", ["iteration", "loss_per_pixel"]),
        Table(folder / f"{name}-scores.csv", ["iteration", "mean_iu"]),
    )
    for iteration, loss in enumerate(losses):
        tables[0].add({"iteration": iteration, "loss_per_pixel": loss})
    for iteration, iu in ious.items():
        tables[1].add({"iteration": iteration, "mean_iu": iu})
    return tables


def pixels(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB")).astype(int)


def test_the_curve_shows_every_stage_in_its_colour(tmp_path):
    first = stage(tmp_path, "a", np.linspace(3, 1, 60), {30: 0.2, 60: 0.4})
    second = stage(tmp_path, "b", np.linspace(1, 0.5, 60), {60: 0.6})
    learning_curve(tmp_path / "one.png", {"a": first})
    learning_curve(tmp_path / "two.png", {"a": first, "b": second})
    blue, orange = (31, 119, 180), (255, 127, 14)  # the first two of matplotlib's cycle
    counts = {
        (name, colour): int((pixels(tmp_path / name) == colour).all(axis=2).sum())
        for name in ("one.png", "two.png")
        for colour in (blue, orange)
    }
    assert counts["one.png", blue] > 100
    assert counts["one.png", orange] == 0
    assert counts["two.png", blue] > 100
    assert counts["two.png", orange] > 100


def test_a_stage_without_rows_leaves_a_picture_all_the_same(tmp_path):
    learning_curve(tmp_path / "curve.png", {"a": stage(tmp_path, "a", [], {})})
    assert pixels(tmp_path / "curve.png").shape[1] > 500
