"""Importing the catalogue fills the registry."""

import subprocess
import sys


def test_importing_the_catalogue_registers_the_layers():
    code = "import caffe_compat.layer.catalogue, caffe_compat.layer.registry as r; print(*r.layer_type_list())"
    types = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"BatchNorm", "Convolution", "Crop", "Deconvolution", "InnerProduct", "Pooling", "Scale"} <= set(types)
