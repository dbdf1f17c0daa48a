"""``time -model FILE``: how long each layer takes forward and backward, as ``caffe time`` shows it.

    caffe-compat time -model deploy.prototxt -phase TEST -iterations 10

Layers run one by one, as in Caffe, so that each can be timed; a whole forward of a lean net, which skips and fuses
work, is faster than the sum.

Source: BVLC/caffe tools/caffe.cpp (time).
"""

import click

from caffe_compat import glog
from caffe_compat.net.build_log import logging_builds
from caffe_compat.net.net import Net
from caffe_compat.proto.caffe_pb2 import TEST, Phase
from caffe_compat.timer import Timer
from caffe_compat.tools.device_flags import chosen_gpus, precision_flag, stages_of, state_flags, use_one_device
from caffe_compat.tools.flags import FlagCommand, flag

__all__ = ["time"]


@click.command(cls=FlagCommand)
@flag("model", "The net's prototxt; needed.")
@flag("weights", "A caffemodel to load first; Caffe's own tool times random weights.")
@flag("iterations", "Forward and backward passes to time.", 50, click.IntRange(min=1))
@flag("phase", "TRAIN or TEST.", "TRAIN", click.Choice(Phase.keys()))
@precision_flag
@state_flags
def time(
    model: str, weights: str, iterations: int, phase: str, precision: str, gpu: str, level: int, stage: str
) -> None:
    """Time each layer of a net, forward and backward, in milliseconds, as caffe time does."""
    if not model:
        raise click.UsageError("-model is missing: need a net to time")
    use_one_device(chosen_gpus(gpu), "caffe.cpp:343")
    with logging_builds():
        net = _build(model, Phase.Value(phase), level, stages_of(stage), precision)
    if weights:
        net.copy_from(weights)
    glog.info("caffe.cpp:351", "Performing Forward")
    glog.info("caffe.cpp:356", f"Initial loss: {glog.number(net.forward_loss())}")
    glog.info("caffe.cpp:357", "Performing Backward")
    net.backward()
    glog.info("caffe.cpp:365", "*** Benchmark begins ***")
    glog.info("caffe.cpp:366", f"Testing for {iterations} iterations.")
    total = Timer()
    total.start()
    forward, backward = _time_layers(net, iterations)
    total.stop()
    glog.info("caffe.cpp:397", "Average time per layer: ")
    for name, there, back in zip(net._layer_names, forward, backward, strict=True):
        glog.info("caffe.cpp:400", f"{name:>10}\tforward: {there / iterations:g} ms.")
        glog.info("caffe.cpp:403", f"{name:>10}\tbackward: {back / iterations:g} ms.")
    glog.info("caffe.cpp:408", f"Average Forward pass: {sum(forward) / iterations:g} ms.")
    glog.info("caffe.cpp:410", f"Average Backward pass: {sum(backward) / iterations:g} ms.")
    glog.info("caffe.cpp:412", f"Average Forward-Backward: {total.ms / iterations:g} ms.")
    glog.info("caffe.cpp:414", f"Total Time: {total.ms:g} ms.")
    glog.info("caffe.cpp:415", "*** Benchmark ends ***")
    net.close()


def _build(model: str, phase: int, level: int, stages: list[str], precision: str) -> Net:
    """Caffe's net, which keeps every blob; for bf16 a lean one, which in phase TEST keeps what backward begins from."""
    if precision == "fp32":
        return Net(model, phase=phase, level=level, stages=stages)
    net = Net(model, phase=phase, level=level, stages=stages, keep=[], precision=precision)
    if phase == TEST:
        net.keep_also(list(net.blobs))
    return net


def _time_layers(net: Net, iterations: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each layer's forwards and of its backwards, summed over the iterations."""
    count = len(net.layers)
    forward, backward = [0.0] * count, [0.0] * count
    whole, single = Timer(), Timer()
    for iteration in range(1, iterations + 1):
        whole.start()
        for i in range(count):
            single.start()
            net._forward(i, i)
            single.stop()
            forward[i] += single.ms
        for i in reversed(range(count)):
            single.start()
            net._backward(i, i)
            single.stop()
            backward[i] += single.ms
        whole.stop()
        glog.info("caffe.cpp:394", f"Iteration: {iteration} forward-backward time: {whole.ms:g} ms.")
    return forward, backward
