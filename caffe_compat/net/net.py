"""Net: pycaffe's class of that name.

    net = caffe_compat.Net("deploy.prototxt", "fcn8s.caffemodel", caffe_compat.TEST)
    net.blobs["data"].reshape(1, 3, height, width)
    net.blobs["data"].data[...] = image        # N x C x H x W, BGR minus the mean
    score = net.forward()["score"]

Ours beside pycaffe's: ``keep=`` builds a lean net, in which only the named blobs outlive a forward.

Source: BVLC/caffe python/caffe/_caffe.cpp, python/caffe/pycaffe.py, src/caffe/net.cpp.
"""

import os
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

import caffe_compat.layer.catalogue  # noqa: F401  (registers the layer types)
from caffe_compat.errors import NetError
from caffe_compat.layer.blob import Blob
from caffe_compat.layer.contract import SourceLayer
from caffe_compat.layer.data.memory_data import MemoryData
from caffe_compat.layer.python_layer import Python
from caffe_compat.net import batches, weights_io
from caffe_compat.net.build_log import log_build
from caffe_compat.net.engine import Engine
from caffe_compat.net.graph import build_graph
from caffe_compat.net.insert_splits import insert_splits
from caffe_compat.net.plan.learning import TakeRows
from caffe_compat.net.state_filter import filter_net
from caffe_compat.proto import caffe_pb2 as pb
from caffe_compat.proto.text import read_net
from caffe_compat.proto.upgrade import upgrade_net

__all__ = ["Net"]

Path = str | os.PathLike[str]


class Net:
    """A net that runs: ``Net(prototxt, phase)``, ``Net(prototxt, weights, phase)``, or with keywords.

    Args:
        network_file: path of a prototxt, or a NetParameter.
        weights: path of a caffemodel (binary or HDF5) to copy from; may stand second, as in old scripts.
        phase: caffe_compat.TRAIN or TEST; needed unless a NetParameter with a state is given.
        level: state level, for layers with min_level or max_level.
        stages: state stages, for layers with stage or not_stage.
        keep: None keeps every blob, as Caffe does. A list of names makes the net lean: only these and the inputs can
            be read after a forward, all others are freed as soon as nothing needs them. It stores weights in the form
            that it computes with; those that are asked for later are read from their caffemodel again, which may be
            replaced or deleted meanwhile, but not written to.
        precision: "fp32"; or "bf16" for a lean net whose large convolutions multiply in bfloat16: about twice as fast
            on processors that have it, scores off by about 1 % of their spread. Parameters and kept blobs stay float32.

    Attributes:
        name, phase: the net's.
        blobs: every blob by name, in the order they are made.
        params: the blobs of each layer that has parameters, by layer name.
        layers: the layers in order; of a Python layer the user's own object. layer_dict: the same by name.
        top_names, bottom_names: of each layer, by layer name.

    Raises:
        ParseError: the prototxt cannot be read.
        NetError, LayerError: the net cannot be built.
        WeightsError: the weights cannot be read or do not fit.
    """

    def __init__(
        self,
        network_file: Path | pb.NetParameter,
        *args: Any,
        phase: int | None = None,
        level: int = 0,
        stages: Sequence[str] | None = None,
        weights: Path | None = None,
        keep: Collection[str] | None = None,
        precision: str = "fp32",
    ) -> None:
        phase, level, stages, weights = _constructor_forms(args, phase, level, stages, weights)
        param = pb.NetParameter()
        if isinstance(network_file, pb.NetParameter):
            param.CopyFrom(network_file)
            upgrade_net(param, param.name or "NetParameter")
        else:
            param.CopyFrom(read_net(network_file))
        if phase is not None:
            param.state.MergeFrom(pb.NetState(phase=pb.Phase.Name(phase), level=level, stage=stages or []))
        elif level or stages or not param.HasField("state"):
            raise NetError(f"net '{param.name}': no phase given; pass phase=caffe_compat.TRAIN or caffe_compat.TEST")
        self._graph = build_graph(insert_splits(filter_net(param)))
        log_build(param, self._graph)
        self._engine = Engine(self._graph, keep, precision)
        nodes = self._graph.nodes
        self.name = self._graph.name
        self.phase = int(param.state.phase)
        self.blobs: OrderedDict[str, Blob] = OrderedDict(self._graph.blobs)
        self._layer_names = [node.layer.name for node in nodes]
        self.layers = [n.layer.instance if isinstance(n.layer, Python) else n.layer for n in nodes]
        self.layer_dict = OrderedDict(zip(self._layer_names, self.layers, strict=True))
        self.params: OrderedDict[str, list[Blob]] = OrderedDict(
            (node.layer.name, node.layer.blobs) for node in nodes if node.layer.blobs
        )
        self.top_names = OrderedDict((n.layer.name, list(n.top_names)) for n in nodes)
        self.bottom_names = OrderedDict((n.layer.name, list(n.bottom_names)) for n in nodes)
        self._blob_names = list(self._graph.blobs)
        self._inputs = [self._blob_names.index(name) for name in self._graph.inputs]
        self._outputs = [self._blob_names.index(name) for name in self._graph.outputs]
        if weights is not None:
            self.copy_from(weights)

    # -- what it is made of --------------------------------------------------------------------------------------------

    @property
    def lean(self) -> bool:
        """Whether it was built with ``keep=``."""
        return self._engine.plan.enabled

    @property
    def inputs(self) -> list[str]:
        """Names of the blobs that Input layers make."""
        return list(self._graph.inputs)

    @property
    def outputs(self) -> list[str]:
        """Names of the blobs that no layer consumes, in alphabetical order."""
        return list(self._graph.outputs)

    @property
    def blob_loss_weights(self) -> OrderedDict[str, float]:
        """Weight of each blob in the net's loss."""
        weights = OrderedDict((name, 0.0) for name in self.blobs)
        for node in self._graph.nodes:
            weights.update({name: w for name, w in zip(node.top_names, node.loss_weights, strict=True) if w})
        return weights

    @property
    def _blobs(self) -> list[Blob]:
        return list(self.blobs.values())

    @property
    def _blob_loss_weights(self) -> list[float]:
        return list(self.blob_loss_weights.values())

    @property
    def learnable_params(self) -> list[Blob]:
        """Parameter blobs that own their values, in the order of Caffe's solver history."""
        return self._graph.params.blobs

    @property
    def params_lr(self) -> list[float]:
        """lr_mult of each learnable parameter."""
        return self._graph.params.lr_mults

    @property
    def params_weight_decay(self) -> list[float]:
        """decay_mult of each learnable parameter."""
        return self._graph.params.decay_mults

    def output_blobs(self) -> list[tuple[str, Blob, float]]:
        """Name, blob and loss weight of each output, in the order that Caffe numbers them in its logs."""
        weights = self.blob_loss_weights
        return [(name, self.blobs[name], weights[name]) for name in self.outputs]

    def _top_ids(self, index: int) -> list[int]:
        return [self._blob_names.index(name) for name in self._graph.nodes[index].top_names]

    def _bottom_ids(self, index: int) -> list[int]:
        return [self._blob_names.index(name) for name in self._graph.nodes[index].bottom_names]

    # -- forward and backward ------------------------------------------------------------------------------------------

    def _forward(self, start: int, end: int) -> float:
        """Run layers start..end, by index; returns the loss."""
        self._check_range(start, end)
        return self._engine.forward(start, end)

    def _backward(self, start: int, end: int) -> None:
        """Run layers start..end in reverse, start >= end, by index."""
        self._check_range(end, start)
        self._engine.backward(end, start)

    def _check_range(self, first: int, last: int) -> None:
        if not 0 <= first < len(self.layers) or not 0 <= last < len(self.layers):
            raise NetError(f"layers {first} to {last} were asked for; the net has 0 to {len(self.layers) - 1}")

    def _index(self, layer: str) -> int:
        if layer not in self._layer_names:
            raise NetError(f"the net has no layer '{layer}'; it has: {', '.join(self._layer_names)}")
        return self._layer_names.index(layer)

    def forward(
        self, blobs: Sequence[str] | None = None, start: str | None = None, end: str | None = None, **kwargs: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Run the net, or the layers from ``start`` to ``end``.

        Args:
            blobs: names of blobs to return besides the outputs.
            start: layer to begin with; its bottoms hold what they hold.
            end: last layer to run; then its tops are returned in place of the net's outputs.
            kwargs: values for every input blob, by name, each as many in the first axis as the blob has.

        Returns:
            Blob name to live array.
        """
        last = self._index(end) if end is not None else len(self.layers) - 1
        wanted = self.top_names[end] if end is not None else self._readable(self.outputs)
        if kwargs:
            self._fill(kwargs, self.inputs, "Input blob arguments do not match net inputs.", "data")
        self._forward(self._index(start) if start is not None else 0, last)
        return {name: self._blob(name).data for name in [*wanted, *(blobs or [])]}

    def backward(
        self, diffs: Sequence[str] | None = None, start: str | None = None, end: str | None = None, **kwargs: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Run backward over the net, or the layers from ``start`` down to ``end``.

        Args:
            diffs: names of blobs whose diffs to return besides the inputs'.
            start: layer to begin with.
            end: last layer to run; then its bottoms' diffs are returned in place of the inputs'.
            kwargs: diffs for every output blob, by name.

        Returns:
            Blob name to live diff array. Parameter diffs add up until ``clear_param_diffs``.
        """
        last = self._index(end) if end is not None else 0
        wanted = self.bottom_names[end] if end is not None else self.inputs
        if kwargs:
            self._fill(kwargs, self.outputs, "Top diff arguments do not match net outputs.", "diff")
        self._backward(self._index(start) if start is not None else len(self.layers) - 1, last)
        return {name: self._blob(name).diff for name in [*wanted, *(diffs or [])]}

    def _fill(self, given: Mapping[str, np.ndarray], names: Sequence[str], complaint: str, side: str) -> None:
        if set(given) != set(names):
            raise NetError(f"{complaint} Given: {', '.join(given)}; wanted: {', '.join(names)}")
        for name, values in given.items():
            blob = self.blobs[name]
            if np.shape(values)[:1] != blob.shape[:1]:
                raise NetError(
                    f"blob '{name}' takes {blob.shape[:1]} in its first axis and was given {np.shape(values)[:1]}; "
                    "reshape the blob or change the batch"
                )
            getattr(blob, side)[...] = values

    def _blob(self, name: str) -> Blob:
        if name not in self.blobs:
            raise NetError(f"the net has no blob '{name}'; it has: {', '.join(self.blobs)}")
        return self.blobs[name]

    def _readable(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if self._engine.keeps(self.blobs[name])]

    def forward_backward(self) -> float:
        """One whole forward and backward, as a solver needs it; returns the loss."""
        loss = self.forward_loss()
        self._backward(len(self.layers) - 1, 0)
        return loss

    def forward_loss(self) -> float:
        """One whole forward; returns the loss, each loss top times its weight."""
        return self._forward(0, len(self.layers) - 1)

    def forward_all(self, blobs: Sequence[str] | None = None, **kwargs: np.ndarray) -> dict[str, np.ndarray]:
        """Run any number of inputs through the net, a batch at a time.

        Args:
            blobs: names of blobs to return besides the outputs.
            kwargs: values for every input blob, by name; the last batch is padded with zeros and the padding dropped.

        Returns:
            Blob name to array, as many in the first axis as were given.

        Raises:
            NetError: no values were given, or an output has no first axis to join batches along.
        """
        return batches.forward_all(self, blobs or [], kwargs)

    def forward_backward_all(
        self, blobs: Sequence[str] | None = None, diffs: Sequence[str] | None = None, **kwargs: np.ndarray
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Run inputs forward and output diffs backward, a batch at a time.

        Args:
            blobs: names of blobs to return besides the outputs.
            diffs: names of blobs whose diffs to return besides the inputs'.
            kwargs: values for every input blob and, if wanted, diffs for every output blob, by name.

        Returns:
            Blob name to values, and blob name to diffs, as many in the first axis as were given.

        Raises:
            NetError: as for ``forward_all``.
        """
        return batches.forward_backward_all(self, blobs or [], diffs or [], kwargs)

    def keep_also(self, names: Sequence[str]) -> None:
        """In a lean net, keep these blobs too from the next forward on; without ``keep=`` all are kept anyway."""
        self._engine.keep_also([self._blob(name) for name in names])

    def give_gradients(self, takers: Mapping[Blob, TakeRows]) -> None:
        """Let a lean training net give the gradients of very large weights away as they come, instead of storing them.

        Args:
            takers: by parameter blob, a function of the first row and of some rows of the gradient. From the next
                forward on; an empty mapping ends it. Weights that are not computed row by row have diffs as ever.
        """
        self._engine.plan.takers = dict(takers)

    def reshape(self) -> None:
        """Give every blob the shape that follows from the inputs' present shapes."""
        for node in self._graph.nodes:
            node.reshape()

    def clear_param_diffs(self) -> None:
        """Set every parameter's diff to zero."""
        for blob in self.learnable_params:
            blob.clear_diff()

    # -- weights -------------------------------------------------------------------------------------------------------

    def copy_from(self, path: Path) -> None:
        """Copy weights, by layer name, from a caffemodel, binary or HDF5.

        Raises:
            WeightsError: nothing was copied; the message names the layer, both shapes and what to do.
        """
        weights_io.load(self._graph, path)

    def load_hdf5(self, path: Path) -> None:
        """Copy weights from an HDF5 caffemodel; ``copy_from`` tells the form by itself."""
        self.copy_from(path)

    def share_with(self, other: "Net") -> None:
        """Make parameters one with those of another net's layers of the same name."""
        weights_io.share_with(self._graph, other._graph)

    def save(self, path: Path, with_diffs: bool = False) -> None:
        """Write a binary caffemodel."""
        weights_io.save(self._graph, path, with_diffs)

    def save_hdf5(self, path: Path, with_diffs: bool = False) -> None:
        """Write an HDF5 caffemodel."""
        weights_io.save_hdf5(self._graph, path, with_diffs)

    # -- the rest ------------------------------------------------------------------------------------------------------

    def before_forward(self, callback: Callable[[int], object]) -> None:
        """Call a function with the layer's index before each layer's forward."""
        self._engine.callbacks.before_forward.append(callback)

    def after_forward(self, callback: Callable[[int], object]) -> None:
        """Call a function with the layer's index after each layer's forward."""
        self._engine.callbacks.after_forward.append(callback)

    def before_backward(self, callback: Callable[[int], object]) -> None:
        """Call a function with the layer's index before each layer's backward."""
        self._engine.callbacks.before_backward.append(callback)

    def after_backward(self, callback: Callable[[int], object]) -> None:
        """Call a function with the layer's index after each layer's backward."""
        self._engine.callbacks.after_backward.append(callback)

    def layers_state(self) -> dict[str, dict[str, Any]]:
        """What a bit-equal resume needs beyond the parameters: data positions and the like, by layer name."""
        return {n.layer.name: state for n in self._graph.nodes if (state := n.layer.state_dict())}

    def load_layers_state(self, state: Mapping[str, dict[str, Any]]) -> None:
        """Put back what ``layers_state`` gave.

        Raises:
            NetError: the state is of a layer that the net does not have.
        """
        owners = [self._graph.nodes[self._index(name)].layer for name in state]
        for layer, own in zip(owners, state.values(), strict=True):
            layer.load_state_dict(own)

    def close(self) -> None:
        """Stop background reading and close data files."""
        for node in self._graph.nodes:
            if isinstance(node.layer, SourceLayer):
                node.layer.close()

    def set_input_arrays(self, data: np.ndarray, labels: np.ndarray) -> None:
        """Hand arrays to the net's first layer, a MemoryData; the next forwards take their rows in turn.

        Args:
            data: n x channels x height x width, float32, C-contiguous; n a multiple of the layer's batch_size.
            labels: n, or n x 1 x 1 x 1, float32, C-contiguous.

        Raises:
            NetError: the first layer is not a MemoryData.
            DataError: arrays of another form.
        """
        first = self._graph.nodes[0].layer
        if not isinstance(first, MemoryData):
            raise NetError(
                f"net '{self.name}': set_input_arrays needs a MemoryData layer as the first; it is '{first.name}' "
                f"({first.type})"
            )
        first.set_input_arrays(data, labels)


def _constructor_forms(
    args: Sequence[Any], phase: int | None, level: int, stages: Sequence[str] | None, weights: Path | None
) -> tuple[int | None, int, Sequence[str] | None, Path | None]:
    """Pycaffe's positional forms: (phase[, level[, stages[, weights]]]) and the older (weights, phase)."""
    rest = list(args)
    if rest and not isinstance(rest[0], int):
        weights = rest.pop(0)
        if len(rest) > 1:
            raise NetError("Net(prototxt, weights, phase) takes no further positional arguments; use keywords")
    if rest:
        phase = rest.pop(0)
    if rest:
        level = rest.pop(0)
    if rest:
        stages = rest.pop(0)
    if rest:
        weights = rest.pop(0)
    if rest:
        raise NetError(f"Net takes at most 5 positional arguments; {len(rest)} more were given")
    if isinstance(stages, str):
        raise NetError(f"stages is the text {stages!r}; give a list of names: stages=[{stages!r}]")
    if phase is not None and phase not in pb.Phase.values():
        raise NetError(f"phase {phase!r} is neither caffe_compat.TRAIN (0) nor caffe_compat.TEST (1)")
    return phase, level, stages, weights
