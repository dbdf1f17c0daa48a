"""What all verbs of ``caffe-compat`` have in common: help, hints, Python layers."""

import os
import subprocess
import sys

import click
import pytest
import torch

from caffe_compat.__main__ import VERBS, _verbs

LAYER = """
import caffe


class Ramp(caffe.Layer):
    def setup(self, bottom, top):
        pass

    def reshape(self, bottom, top):
        top[0].reshape(1, 3)

    def forward(self, bottom, top):
        top[0].data[...] = [0, 1, 2]

    def backward(self, top, propagate_down, bottom):
        pass
"""
NET = """
layer { name: "x" type: "Python" top: "x" python_param { module: "ramp_layer" layer: "Ramp" } }
layer { name: "sum" type: "Reduction" bottom: "x" top: "sum" }
"""


def test_help_tells_every_verb_in_a_whole_sentence(verb):
    told = " ".join(verb("--help").out.split())
    for name in VERBS:
        command = _verbs.get_command(click.Context(_verbs), name)
        first = " ".join(command.help.partition("\n\n")[0].split())
        assert f"{name} {first}" in told
    assert verb("-h").out == verb("--help").out


@pytest.mark.parametrize("name", VERBS)
def test_each_verb_has_help_that_says_all_its_flags(verb, name):
    done = verb(name, "-h")
    assert done.code == 0
    assert f"caffe-compat {name} [OPTIONS]" in done.out or f" {name} [OPTIONS]" in done.out
    for option in _verbs.get_command(click.Context(_verbs), name).params:
        if isinstance(option, click.Option) and not option.hidden:
            assert option.opts[0] in done.out
            assert option.help


def test_an_unknown_verb_gets_a_hint_and_the_known_ones(verb):
    done = verb("tiem", "-model", "x")
    assert done.code == 2
    assert f"unknown verb 'tiem' (did you mean time?); known: {', '.join(VERBS)}" in done.err


def test_the_version_tells_that_of_torch_too(verb):
    assert verb("--version").out.rstrip().endswith(f", torch {torch.__version__}")


@pytest.fixture
def tool(tmp_path):
    """Runs a verb in a process of its own, in a folder with a net that needs the module ramp_layer."""
    (tmp_path / "ramp_layer.py").write_text(LAYER)
    (tmp_path / "net.prototxt").write_text(NET)
    path = [str(tmp_path), *(p for p in sys.path if p)]

    def run(*args):
        return subprocess.run(
            [sys.executable, "-m", "caffe_compat", *args],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )

    return run


def test_python_layers_are_imported_on_request_alone(tool, tmp_path):
    refused = tool("time", "-model=net.prototxt")
    assert refused.returncode == 1
    assert "module 'ramp_layer' is not imported" in refused.stderr
    assert "Caffe's tools take -python_layers" in refused.stderr
    done = tool("time", "-model=net.prototxt", "-iterations=1", "-python_layers")
    assert done.returncode == 0, done.stderr
    done = tool("extract_features", "-python_layers", "none", "net.prototxt", "sum", "sums.h5", "1", "hdf5")
    assert "none: no such file" in done.stderr  # the net was built: weights come after it


def test_a_net_of_python_layers_is_scored(tool, tmp_path):
    from caffe_compat.proto.weights import LayerWeights, write_caffemodel

    write_caffemodel(tmp_path / "w.caffemodel", "n", [LayerWeights("sum", "Reduction")])
    done = tool("test", "-model=net.prototxt", "-weights=w.caffemodel", "-iterations=1", "-python_layers")
    assert done.returncode == 0, done.stderr
    assert "sum = 3" in done.stderr
