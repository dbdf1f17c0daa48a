"""Mode, device and random seed."""

import pytest
import torch

import caffe_compat
from caffe_compat import device as device_module
from caffe_compat.device import (
    device,
    generator,
    load_random_state,
    random_state,
    set_device,
    set_mode_cpu,
    set_mode_gpu,
    set_random_seed,
    stay_on_cpu,
)
from caffe_compat.errors import CaffeError, DeviceError

no_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


@pytest.fixture(autouse=True)
def restore(monkeypatch):
    """Leave mode, device and streams as they were."""
    for name in ("_gpu_mode", "_cpu_only", "_device_id", "_seed"):
        monkeypatch.setattr(device_module, name, getattr(device_module, name))
    monkeypatch.setattr(device_module, "_generators", dict(device_module._generators))


def test_nets_run_on_the_cpu_unless_told():
    assert device() == torch.device("cpu")
    set_mode_cpu()
    assert device() == torch.device("cpu")


@no_cuda
@pytest.mark.parametrize("ask", [set_mode_gpu, lambda: set_device(0), caffe_compat.set_mode_gpu])
def test_asking_for_cuda_where_there_is_none(ask):
    with pytest.raises(
        DeviceError,
        match=r"GPU 0 was asked for, but this PyTorch \(.*\) finds no CUDA device; use set_mode_cpu\(\) or ",
    ):
        ask()
    assert device() == torch.device("cpu")
    assert issubclass(DeviceError, CaffeError)


@no_cuda
def test_a_random_state_of_a_device_that_is_not_there():
    with pytest.raises(DeviceError, match="GPU 0 was asked for"):
        load_random_state({"cuda:0": torch.zeros(16, dtype=torch.uint8)})


@cuda
def test_a_gpu_that_is_not_there():
    count = torch.cuda.device_count()
    for wrong in (count, -1):
        with pytest.raises(DeviceError, match=f"GPU {wrong} was asked for, but there are {count}, numbered from 0"):
            set_device(wrong)


def test_a_program_kept_on_the_cpu_may_ask_for_a_gpu():
    stay_on_cpu()
    set_device(3)
    set_mode_gpu()
    assert device() == torch.device("cpu")
    assert device_module._device_id == 0


@cuda
def test_gpu_mode():
    set_mode_gpu()
    assert device().type == "cuda"
    assert generator().device.type == "cuda"
    set_mode_cpu()
    assert device().type == "cpu"


def test_the_seed_sets_the_stream():
    set_random_seed(4)
    first = torch.rand(3, generator=generator())
    set_random_seed(4)
    assert torch.equal(torch.rand(3, generator=generator()), first)
    assert not torch.equal(torch.rand(3, generator=generator()), first)
    set_random_seed(5)
    assert not torch.equal(torch.rand(3, generator=generator()), first)


def test_a_negative_seed_is_drawn_from_the_system():
    draws = []
    for _ in range(2):
        set_random_seed(-1)
        draws.append(torch.rand(4, generator=generator()))
    assert not torch.equal(*draws)


def test_torchs_own_stream_is_left_alone():
    before = torch.get_rng_state()
    set_random_seed(1)
    torch.rand(3, generator=generator())
    assert torch.equal(torch.get_rng_state(), before)


def test_the_random_state_resumes_the_stream():
    set_random_seed(4)
    torch.rand(3, generator=generator())
    state = {name: value.clone() for name, value in random_state().items()}
    assert list(state) == ["cpu"]
    expected = torch.rand(3, generator=generator())
    set_random_seed(9)
    load_random_state(state)
    assert torch.equal(torch.rand(3, generator=generator()), expected)
