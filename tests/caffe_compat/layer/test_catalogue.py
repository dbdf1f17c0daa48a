"""The registry is empty until the catalogue is imported, and full afterwards."""

import subprocess
import sys


def types_after(module: str) -> list[str]:
    code = f"import {module}; from caffe_compat.layer.registry import layer_type_list; print(*layer_type_list())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_importing_the_registry_alone_registers_nothing():
    assert types_after("caffe_compat.layer.registry") == []


def test_importing_the_catalogue_registers_the_vision_layers():
    assert {"Convolution", "Deconvolution", "Pooling", "Crop"} <= set(types_after("caffe_compat.layer.catalogue"))
