"""Names of devices."""

import pytest
import torch

from caffe_compat.device import device, set_mode_cpu
from caffe_compat.errors import DeviceError
from solvers.device_option import use_device


@pytest.fixture(autouse=True)
def _back_to_cpu():
    yield
    set_mode_cpu()


def test_cpu():
    use_device("cpu")
    assert device() == torch.device("cpu")


@pytest.mark.parametrize("name", ["tpu", "cuda:", "cuda:x", "-1", ""])
def test_unknown_name(name):
    with pytest.raises(DeviceError, match=f"device '{name}' is unknown; give cpu, cuda, cuda:N or the GPU's number N"):
        use_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize(("name", "number"), [("cuda", 0), ("cuda:1", 1), ("2", 2), ("gpu:3", 3)])
def test_gpu_where_there_is_none(name, number):
    with pytest.raises(DeviceError, match=f"GPU {number} was asked for, but this PyTorch .* finds no CUDA device"):
        use_device(name)
    assert device() == torch.device("cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_gpu():
    use_device("cuda:0")
    assert device() == torch.device("cuda", 0)
