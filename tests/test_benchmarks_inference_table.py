"""The timing rows of the papers' tables: what is printed beside the times, and a measurement."""

import os
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = ROOT / "benchmarks" / "inference_table.py"


@pytest.fixture(scope="module")
def table():
    return SimpleNamespace(**runpy.run_path(str(PROGRAM), run_name="inference_table"))


def rows(text):
    return {line[:22].strip(): line[22:].split() for line in text.splitlines() if line.strip()}


def test_published_rows_beside_the_times(table, capsys):
    facts = {"FCN-AlexNet": (8, 57_000_000, 355), "FCN-VGG16": (16, 134_300_000, 404), "FCN-GoogLeNet": (22, 6e6, 907)}
    table.print_table_1({name: table.Timed([100.0, 140.0], *one, 32) for name, one in facts.items()})
    found = rows(capsys.readouterr().out)
    assert found["mean IU (paper)"] == ["39.8", "56.0", "42.5"]
    assert found["forward time"] == "120 +- 28 ms".split() * 3
    assert found["on a K40c (paper)"] == "50 ms 210 ms 59 ms".split()
    assert found["parameters"] == ["57M", "134M", "6M"]
    table.print_table_3(table.Timed([7.0], 1, 1, 1, 8))
    found = rows(capsys.readouterr().out)
    assert found["R-CNN"] == ["47.9", "-", "-"]
    assert found["SDS"] == "52.6 51.6 about 50 s (paper)".split()
    assert found["FCN-8s"] == "62.7 62.2 7 +- 0 ms".split()
    assert found["on a K40c (paper)"] == "62.7 62.2 about 175 ms".split()


def test_a_measurement(table):
    timed = table.time_model("voc-fcn-googlenet", 64, 2)
    assert len(timed.milliseconds) == 2
    assert min(timed.milliseconds) > 0
    assert (timed.conv_layers, timed.receptive_field_px, timed.stride_px) == (22, 907, 32)
    assert round(timed.parameters / 1e6) == 6


@pytest.mark.slow
def test_the_program():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(PROGRAM), "--trials", "1", "--size", "96"]
    out = subprocess.check_output(command, text=True, env=environment)
    assert out.startswith("forward at 96 x 96, fp32, mean of 1 trials; ")
    assert rows(out)["rf size"] == ["355", "404", "907"]
    assert rows(out)["max stride"] == ["32", "32", "32"]
