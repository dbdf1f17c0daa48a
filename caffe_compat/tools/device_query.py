"""``device_query``: what CUDA devices there are, as ``caffe device_query`` shows them.

Source: BVLC/caffe tools/caffe.cpp (device_query), src/caffe/common.cpp (DeviceQuery).
"""

import click
import torch

from caffe_compat import glog
from caffe_compat.device import set_device
from caffe_compat.tools.device_flags import chosen_gpus
from caffe_compat.tools.flags import FlagCommand, flag

__all__ = ["device_query"]


@click.command(cls=FlagCommand)
@flag("gpu", "Numbers of devices, separated by commas, or 'all'.")
def device_query(gpu: str) -> None:
    """Log the properties of CUDA devices; without -gpu, of all there are."""
    glog.info("caffe.cpp:138", f"Querying GPUs {gpu}")
    if not gpu and not torch.cuda.is_available():
        glog.log(f"No CUDA device; nets run on the CPU, in {torch.get_num_threads()} threads.")
        return
    for number in chosen_gpus(gpu or "all"):
        set_device(number)
        found = torch.cuda.get_device_properties(number)
        for name, value in (
            ("Device id:", number),
            ("Major revision number:", found.major),
            ("Minor revision number:", found.minor),
            ("Name:", found.name),
            ("Total global memory:", found.total_memory),
            ("Number of multiprocessors:", found.multi_processor_count),
        ):
            glog.info("common.cpp:196", f"{name:<31}{value}")
