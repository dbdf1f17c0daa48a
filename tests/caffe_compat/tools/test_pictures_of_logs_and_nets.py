"""plot_log and draw_net: pictures that can be opened and show what they should."""

import importlib.util
import re

import numpy as np
import pytest
from PIL import Image

NET = """
    name: "small"
    layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 } } include { phase: TEST } }
    layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip" inner_product_param { num_output: 3 } }
"""


@pytest.mark.parametrize("chart", range(8))
def test_every_chart_of_real_logs(verb, realdata, tmp_path, chart):
    done = verb(
        "plot_log", chart, tmp_path / "a.png", realdata / "logs/train.log", realdata / "logs/train_multistep.log"
    )
    assert done.code == 0, done.err
    with Image.open(tmp_path / "a.png") as picture:
        colours = np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)
    assert {(31, 119, 180), (255, 127, 14)} <= set(map(tuple, colours.tolist()))  # two curves


def test_the_curve_has_the_logs_values(verb, realdata, tmp_path):
    assert verb("plot_log", 4, tmp_path / "a.svg", realdata / "logs/train.log").code == 0
    text = (tmp_path / "a.svg").read_text()
    assert "Train learning rate vs. Iters" in text
    (path,) = re.findall(r'<g id="line2d_\d+">\s*<path d="([^"]+)" clip-path', text)
    ys = [float(y) for _, y in re.findall(r"[ML] (\S+) (\S+)", path)]
    assert len(ys) == 6
    assert ys == sorted(ys)  # the rate falls, and y counts downwards


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("8 a.png log", "8 is not in the range 0<=x<=7"),
        ("6 a.png", "Missing argument"),
        ("0 a.png log", "no column for the chart 'Test accuracy'; it has no test outputs; choose another chart"),
        ("6 a.png log", "no column for the chart 'Train loss'; its columns are error; choose another chart"),
        ("4 a.xyz log", "pictures of kind 'xyz' cannot be drawn"),
        ("4 no/a.png log", "no/a.png: cannot be written"),
    ],
)
def test_what_cannot_be_plotted(verb, tmp_path, monkeypatch, args, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "log").write_text(
        "I1122 13:14:17.000000  1 s:1] Solving n\nI1122 13:14:18.000000  1 s:1] Iteration 0\n"
        "I1122 13:14:18.000000  1 s:1] Train net output #0: error = 1\n"
    )
    done = verb("plot_log", *args.split())
    assert done.code != 0
    assert message in done.err
    assert not (tmp_path / "a.png").exists()


def test_a_net_as_graphviz_text(verb, tmp_path):
    pytest.importorskip("pydot")
    (tmp_path / "net").write_text(NET)
    for phase, shown in (("ALL", True), ("TRAIN", False)):
        done = verb("draw_net", tmp_path / "net", tmp_path / "a.dot", f"--phase={phase}", "--rankdir", "TB")
        assert done.code == 0, done.err
        text = (tmp_path / "a.dot").read_text()
        assert "rankdir=TB" in text
        assert "ip (InnerProduct)" in text
        assert ("x (Input)" in text) == shown
    assert verb("draw_net", tmp_path / "net", tmp_path / "a.dot", "--display_lrm").code == 0
    assert "lr mult: 1.0, 1.0" in (tmp_path / "a.dot").read_text()


@pytest.mark.skipif(importlib.util.find_spec("pydot") is not None, reason="pydot is installed")
def test_without_pydot(verb, tmp_path):
    (tmp_path / "net").write_text(NET)
    done = verb("draw_net", tmp_path / "net", tmp_path / "a.png")
    assert done.code == 1
    assert "needs the package pydot, which is not installed; pip install pydot" in done.err


def test_what_cannot_be_drawn(verb, tmp_path):
    assert "missing: no such file" in verb("draw_net", tmp_path / "missing", tmp_path / "a.png").err
    assert "a suffix must tell the kind" in verb("draw_net", tmp_path / "missing", tmp_path / "a").err
    assert "'UP' is not one of" in verb("draw_net", "in", "out.png", "--rankdir=UP").err
