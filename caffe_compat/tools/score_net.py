"""``test -model FILE -weights FILE``: score a net on batches of its own data, as ``caffe test`` does.

    caffe-compat test -model train_val.prototxt -weights snap/net_iter_1000.caffemodel -iterations 100

Source: BVLC/caffe tools/caffe.cpp (test).
"""

import click
import numpy as np

from caffe_compat import glog
from caffe_compat.net.build_log import logging_builds
from caffe_compat.net.net import Net
from caffe_compat.proto.caffe_pb2 import TEST
from caffe_compat.tools.device_flags import chosen_gpus, precision_flag, stages_of, state_flags, use_one_device
from caffe_compat.tools.flags import FlagCommand, flag

__all__ = ["test"]


@click.command(cls=FlagCommand)
@flag("model", "The net's prototxt; needed.")
@flag("weights", "The caffemodel; needed.")
@flag("iterations", "Batches to run.", 50, click.IntRange(min=1))
@precision_flag
@state_flags
def test(model: str, weights: str, iterations: int, precision: str, gpu: str, level: int, stage: str) -> None:
    """Run a net in phase TEST on batches of its own data, and log each output and the means, as caffe test does."""
    if not model or not weights:
        missing = "weights" if model else "model"
        raise click.UsageError(f"-{missing} is missing: give the net's prototxt and its weights")
    use_one_device(chosen_gpus(gpu), "caffe.cpp:275")
    with logging_builds():
        net = Net(model, phase=TEST, level=level, stages=stages_of(stage), keep=[], precision=precision)
    net.keep_also(net.outputs)
    net.copy_from(weights)
    glog.info("caffe.cpp:281", f"Running for {iterations} iterations.")
    loss = np.float32(0)
    sums: dict[str, np.ndarray] = {}
    for batch in range(iterations):
        loss += np.float32(net.forward_loss())
        for name, blob, _ in net.output_blobs():
            values = blob.tensor().reshape(-1).cpu().numpy()
            sums[name] = sums[name] + values if name in sums else values.copy()
            for value in values:
                glog.info("caffe.cpp:304", f"Batch {batch}, {name} = {glog.number(value)}")
    count = np.float32(iterations)
    glog.info("caffe.cpp:309", f"Loss: {glog.number(float(loss / count))}")
    for name, _, loss_weight in net.output_blobs():
        weight = np.float32(loss_weight)
        for mean in sums[name] / count:
            line = f"{name} = {glog.number(mean)}"
            if weight:
                line += f" (* {glog.number(float(weight))} = {glog.number(float(weight * mean))} loss)"
            glog.info("caffe.cpp:321", line)
    net.close()
