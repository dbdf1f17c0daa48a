"""The check before training: data, labels, weights, rates, and what the run will cost.

It answers what most often goes wrong: labels out of range, weights that were never loaded, Deconvolutions left at zero,
rates of 1e-10 that look like a mistake.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from caffe_compat.device import load_random_state, random_state
from caffe_compat.layer.blob import Shape
from caffe_compat.layer.loss.classification import InfogainLoss
from caffe_compat.layer.loss.normalization import normalization_mode
from caffe_compat.layer.loss.softmax_with_loss import SoftmaxWithLoss
from caffe_compat.net.net import Net
from caffe_compat.proto.caffe_pb2 import TRAIN, LossParameter, NetParameter
from data_prep.labels import VOID
from data_prep.sources_weights import weights_hint
from nets.catalogue import Model
from nets.surgery import Report
from solvers.initial import find_stuck, interpolated_layers
from solvers.recipe import Recipe
from solvers.splits import Splits

__all__ = ["Checkup", "Cost", "averages_pixels", "cost_of_step", "examine", "input_shapes"]

_SAMPLES = 25  # images of each split that are opened
_BASE_BYTES = 350e6  # Python, torch and its libraries


@dataclass
class Checkup:
    """What was found: lines to print, and the faults that forbid a start."""

    lines: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def say(self, title: str, text: str) -> None:
        """Add a line."""
        self.lines.append(f"  {title:<9} {text}")

    def __str__(self) -> str:
        return "\n".join([*self.lines, *(f"  FAULT     {fault}" for fault in self.faults)])


@dataclass(frozen=True)
class Cost:
    """What one image of training takes.

    Attributes:
        bytes: memory at its peak, this process included; an estimate.
        seconds: of a forward and backward, measured here and now.
    """

    bytes: float
    seconds: float


def examine(
    recipe: Recipe,
    model: Model,
    net: Net,
    param: NetParameter,
    splits: Splits,
    report: Report | None,
    origin: str,
    iterations: int,
    precision: str = "fp32",
) -> Checkup:
    """Look everything over before the first iteration.

    Args:
        recipe: what is about to run.
        model: its model, with the classes of the data.
        net: the train net, with its starting weights.
        param: its message.
        splits: the data.
        report: what surgery did; None if the weights did not come from a file.
        origin: where the weights came from, for the message.
        iterations: how many are planned.
        precision: of the net.
    """
    found = Checkup()
    sizes, counted = _check_data(found, splits, model)
    _check_weights(found, net, report, origin, " and ".join(recipe.predecessors) or recipe.ilsvrc)
    for task, pixels in counted.items():
        _tell_rates(found, recipe, net, task, float(np.mean(pixels)) if pixels else 0.0)
    if sizes:
        height, width = (int(np.median([size[axis] for size in sizes])) for axis in (0, 1))
        cost = cost_of_step(param, net, input_shapes(model, height, width), precision)
        images = int(recipe.settings.get("iter_size", 1))
        total = cost.seconds * iterations * images
        found.say("memory", f"about {cost.bytes / 1e9:.1f} GB at {height} x {width}")
        found.say("time", f"about {cost.seconds * images:.2f} s an iteration, {_span(total)} for {iterations:,}")
    return found


def _check_data(found: Checkup, splits: Splits, model: Model) -> tuple[list[Shape], dict[str, list[int]]]:
    """Say the splits' sizes and open some of their images; a faulty one is an error of the data's own.

    Returns:
        The images' sizes, and by task the numbers of labelled pixels.
    """
    sizes: list[Shape] = []
    counted: dict[str, list[int]] = {task.name: [] for task in model.tasks}
    for role, split in (("train", splits.train), ("test", splits.test)):
        known = split.published_size
        compared = "" if known in (None, len(split.ids)) else f" (the whole list has {known})"
        found.say(role, f"{len(split.ids)} images, {split.title}{compared}")
        values: dict[str, set[int]] = {task.name: set() for task in model.tasks}
        check = split.checker(model)
        opened = split.ids[:: max(1, len(split.ids) // _SAMPLES)][:_SAMPLES]
        for image_id in opened:
            labels = check(image_id)
            sizes.append(labels[0].shape)
            for task, label in zip(model.tasks, labels, strict=True):
                values[task.name].update(np.unique(label).tolist())
                counted[task.name].append(int((label != VOID).sum()))
        for name, seen in values.items():
            of_task = f"{name}: " if name else ""
            found.say("labels", f"{of_task}{_range(seen)} in {len(opened)} opened; all within range")
    return sizes, counted


def _range(values: set[int]) -> str:
    classes = sorted(values - {VOID})
    seen = f"{classes[0]} to {classes[-1]}" if classes else "none"
    return f"classes {seen} and {'void (255)' if VOID in values else 'no void'}"


def _check_weights(found: Checkup, net: Net, report: Report | None, origin: str, usual: str) -> None:
    found.say("weights", origin)
    if report is not None:
        found.say(
            "", f"{len(report.copied)} blobs copied, {len(report.coerced)} coerced, {len(report.dropped)} dropped"
        )
        found.lines.extend(f"            {transfer}" for transfer in report.dropped)
        uncovered = [name for name in report.untouched if name not in interpolated_layers(net)]
        if uncovered:
            found.say("", f"not in the file: {', '.join(uncovered)}")
    found.say("fixed", f"interpolation: {', '.join(interpolated_layers(net)) or 'none'}")
    stuck = find_stuck(net)
    if stuck.waiting:
        found.say("zero", f"{', '.join(stuck.waiting)}: start at zero and learn from there, as released")
    if stuck.silent:
        found.faults.append(
            f"Deconvolution at zero weights: {', '.join(stuck.silent)}; all scores would be 0 for ever. "
            "Set them with nets.surgery.interp"
        )
    if stuck.stuck:
        found.faults.append(
            f"zero weights that can never learn, for all above them is zero too: {', '.join(stuck.stuck)}. "
            f"Give weights that have these layers with --init; this model starts from {usual}{weights_hint(usual)}"
        )


def averages_pixels(net: Net) -> bool:
    """Whether the net's loss is a mean over pixels; if not, it is their sum (divided by the batch size)."""
    means: set[int] = {LossParameter.VALID, LossParameter.FULL}
    losses = (layer for layer in net.layers if isinstance(layer, SoftmaxWithLoss | InfogainLoss))
    return any(normalization_mode(layer) in means for layer in losses)


def _tell_rates(found: Checkup, recipe: Recipe, net: Net, task: str, labelled: float) -> None:
    rate, momentum = float(recipe.settings["base_lr"]), float(recipe.settings["momentum"])
    normalized = averages_pixels(net)
    per_pixel = rate if normalized else rate * labelled
    of_task = f"{task}: " if task else ""
    kind = "mean over pixels" if normalized else "sum over pixels"
    found.say(
        "rate",
        f"{of_task}base_lr {rate:g} on the {kind} = {per_pixel:.2g} on the mean over {labelled:,.0f} labelled pixels; "
        f"with momentum {momentum:g} steps add up to {per_pixel / (1 - momentum):.2g}",
    )


def input_shapes(model: Model, height: int, width: int) -> dict[str, Shape]:
    """Shapes of what the train net's data layer gives for an image of that size, by top."""
    images = {top: (*image.shape[:2], height, width) for top, image in model.images.items()}
    return {**images, **{task.label: (1, 1, height, width) for task in model.tasks}}


def cost_of_step(param: NetParameter, net: Net, shapes: Mapping[str, Shape], precision: str = "fp32") -> Cost:
    """Measure a forward and backward on one image, without touching the net, its data or any random stream.

    Args:
        param: the train net's message; its data layers are replaced by inputs.
        net: the train net, whose weights are used.
        shapes: of these inputs, N x C x H x W, by top.
        precision: to compute in.
    """
    before = random_state()  # the trial net's fillers draw too
    trial = Net(_fed_by_hand(param, shapes), phase=TRAIN, keep=[], precision=precision)
    trial.share_with(net)
    seconds = float("inf")
    for _ in range(3):
        begin = time.perf_counter()
        trial.forward_backward()
        trial.clear_param_diffs()
        seconds = min(seconds, time.perf_counter() - begin)
        if seconds > 1:  # large enough to be right at once
            break
    load_random_state(before)
    activations = 0.0
    for layer in trial.layers:
        if trial.top_names[layer.name] != trial.bottom_names[layer.name] and layer.type not in ("Split", "Crop"):
            activations += sum(trial.blobs[name].count for name in trial.top_names[layer.name]) * 4
    counts = [blob.count for blob in net.learnable_params]
    weights = 4 * (3 * sum(counts) + 2 * max(counts))  # values, gradients, momentum; copies while a layer runs
    return Cost(_BASE_BYTES + weights + 1.3 * activations, seconds)


def _fed_by_hand(param: NetParameter, shapes: Mapping[str, Shape]) -> NetParameter:
    fed = NetParameter()
    for name, dims in shapes.items():
        made = fed.layer.add(name=name, type="Input", top=[name])
        made.input_param.shape.add(dim=dims)
    fed.layer.extend(layer for layer in param.layer if layer.bottom)
    return fed


def _span(seconds: float) -> str:
    for unit, size in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds"
