"""Verbs run in this process as the console script runs them, their log lines on stderr; and weights to convert."""

import logging
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from caffe_compat.__main__ import _verbs
from caffe_compat.device import set_mode_cpu
from caffe_compat.glog import init_log, log_to_file
from caffe_compat.proto.weights import LayerWeights


@pytest.fixture
def verb(tmp_path):
    """Runs ``caffe-compat ARGS`` and gives its exit code, output (stdout), stderr and log lines."""

    def run(*args):
        log_file = tmp_path / "verb.log"
        log_file.write_text("")
        with log_to_file(log_file):
            done = CliRunner().invoke(_verbs, [str(arg) for arg in args])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return SimpleNamespace(
            code=done.exit_code, out=done.stdout, err=done.stderr, log=log_file.read_text(), file=log_file
        )

    level = logging.getLogger("caffe_compat").level
    yield run
    logging.getLogger("caffe_compat").setLevel(level)
    init_log()
    set_mode_cpu()


@pytest.fixture(scope="session")
def layers():
    """Makes layers with weights of several shapes, the same each time."""

    def make():
        draw = np.random.default_rng(3)

        def array(*shape):
            return draw.standard_normal(shape).astype(np.float32)

        return [
            LayerWeights("conv1/3x3.a", "Convolution", [array(4, 3, 3, 3), array(4)]),
            LayerWeights("relu", "ReLU"),
            LayerWeights("bn", "BatchNorm", [array(4), array(4), array(1)]),
            LayerWeights("scale", "Scale", [array(4)[::-1]]),
            LayerWeights("scalar", "Parameter", [array()]),
        ]

    return make


@pytest.fixture(scope="session")
def arrays():
    """Layer and number to array, of layers that have any."""
    return lambda found: {(layer.name, i): blob for layer in found for i, blob in enumerate(layer.blobs)}


@pytest.fixture(scope="session")
def assert_same(arrays):
    """Holds the blobs of two lists of layers to be equal, shape by shape and value by value."""

    def hold(found, wanted):
        found, wanted = arrays(found), arrays(wanted)
        assert found.keys() == wanted.keys()
        for key, array in wanted.items():
            assert found[key].shape == array.shape, key
            assert np.array_equal(found[key], array), key

    return hold
