"""The execution plan: which layers of a lean net run by which rewrite.

    fuse      convolutions with packed weights and the ReLU in them (packed.py)
    winograd  3 x 3 and 7 x 7 convolutions of many channels with a third or less of the multiplications (winograd.py)
    windows   only what the image reaches of a padded map (windows.py)
    strips    large windows in strips that fit the cache (windows.py)
    diagonal  interpolating Deconvolutions without multiplying zeros (interpolation.py)
    crop      of an interpolation that is cropped right away, only the window (interpolation.py)
    products  in training, convolutions with very large weights as matrix products (products.py)
    spend     in training, a ReLU's gradient in place of its top's (learning.py)
    repool    in training, maxima found again in place of remembered indices (learning.py)
    update    in training by a solver, very large weights updated while their gradient comes (solver/early_update.py)

In training, winograd also computes gradients, and the others rest but for diagonal.

``Plan.on`` holds the names of those that are on; in nets that keep every blob, none is. Rewrites of several layers
apply only where nobody can see what is between them: blobs that are kept, or of which an array is held, are made as
the layers make them. All follow changes of the weights. In phase TEST they leave values that are not finite to the
layers; in training a NaN or an infinity, there a training's end, spreads over a tile of 4 x 4.
"""

from collections.abc import Callable, Sequence

import torch

from caffe_compat.device import device
from caffe_compat.layer.blob import Blob
from caffe_compat.layer.contract import Context
from caffe_compat.layer.vision.convolution import BaseConvolution, Convolution
from caffe_compat.layer.vision.crop import Crop
from caffe_compat.layer.vision.deconvolution import Deconvolution
from caffe_compat.layer.vision.layout import fast_layout
from caffe_compat.malloc import keep_freed_memory
from caffe_compat.net.graph import Node
from caffe_compat.net.plan import packed, winograd
from caffe_compat.net.plan.background import Backgrounds, run_whole
from caffe_compat.net.plan.bound import Bounds
from caffe_compat.net.plan.interpolation import Interpolations
from caffe_compat.net.plan.learning import TakeRows, learn
from caffe_compat.net.plan.precision import lowered, rounds
from caffe_compat.net.plan.products import LARGE
from caffe_compat.net.plan.stage import Chain, find_chain, is_convolution
from caffe_compat.net.plan.windows import Note, find_window, run_window
from caffe_compat.proto import caffe_pb2 as pb

__all__ = ["REWRITES", "Plan"]

Tensor = torch.Tensor
REWRITES = ("fuse", "winograd", "windows", "strips", "diagonal", "crop", "products", "spend", "repool", "update")


class Plan:
    """Runs nodes without gradients, by the fastest equal way it knows.

    Args:
        nodes: the net's.
        enabled: False runs every layer plainly.
        low: whether to compute in bfloat16 where precision.py says so.

    Attributes:
        on: names of the rewrites that are used, of ``REWRITES``.
        takers: who is given the gradient of a very large weight row by row, in place of its diff.
    """

    def __init__(self, nodes: Sequence[Node], enabled: bool, low: bool = False) -> None:
        self.enabled = enabled
        self.low = low
        self.on = set(REWRITES) if enabled else set()
        if enabled:
            keep_freed_memory(learning=any(node.layer.phase == pb.TRAIN for node in nodes))
        self.takers: dict[Blob, TakeRows] = {}
        self._nodes = nodes
        # packing takes a weight's memory once more: the large ones go first, before other things are prepared
        self._large = [node for node in nodes if is_convolution(node) and node.layer.blobs[0].count >= LARGE]
        self._bounds = Bounds()
        self._backgrounds = Backgrounds()
        self._interpolations = Interpolations()
        self._notes: dict[Blob, tuple[int, Note]] = {}
        self._new_note: Note | None = None

    # -- one layer -----------------------------------------------------------------------------------------------------

    def forward(self, node: Node, bottoms: Sequence[Tensor], context: Context) -> list[Tensor]:
        """The node's tops for these bottoms."""
        layer = node.layer
        if "diagonal" in self.on and isinstance(layer, Deconvolution):
            found = self._interpolations.find(node)
            bottoms = [bottom.float() for bottom in bottoms] if self.low else bottoms
            if found is not None and all(bool(torch.isfinite(bottom).all()) for bottom in bottoms):
                return [found.whole(fast_layout(bottom)) for bottom in bottoms]
        self.lay_out(node)
        params = [blob.tensor() for blob in layer.blobs]
        if self.low:
            bottoms, params = lowered(layer, bottoms, params)
        return layer.forward(bottoms, params, context)

    def learn(
        self, node: Node, bottoms: Sequence[Tensor], params: Sequence[Tensor], context: Context, spend: bool
    ) -> list[Tensor]:
        """The node's tops under autograd.

        Args:
            node: whose.
            bottoms: its bottoms' values.
            params: its parameters' values; those that learn require a gradient.
            context: of this forward.
            spend: whether the top's gradient may be overwritten in the backward.
        """
        tops = None
        if self.enabled:
            take = self.takers.get(node.layer.blobs[0]) if node.layer.blobs and "update" in self.on else None
            tops = learn(node, bottoms, params, context, spend, self.on, self.low, take)
        if tops is None and self.low:
            bottoms, params = lowered(node.layer, bottoms, params)
        return node.layer.forward(bottoms, params, context) if tops is None else tops

    def lay_out(self, node: Node) -> None:
        """Let a 2-D convolution's weight lie as the convolution wants it, instead of being turned in every call."""
        if self.enabled and isinstance(node.layer, BaseConvolution) and len(node.layer.blobs[0].shape) == 4:
            node.layer.blobs[0].relayout(torch.channels_last)

    def follow(self, node: Node) -> None:
        """What is known of a Split's bottom is known of its tops; call after they are set."""
        if node.layer.type == "Split" and self._notes:
            note = self._note(node.bottom[0])
            if note is not None:
                self._notes.update({top: (top.stamp(), note) for top in node.top})

    # -- several layers ------------------------------------------------------------------------------------------------

    def chain(self, first: int, last: int, seen: Callable[[Blob], bool]) -> Chain | None:
        """Nodes from first on, up to last at most, that ``run`` may take on; None: there are none.

        Args:
            first: index of a node.
            last: index of a node.
            seen: whether somebody may read a blob after the forward.
        """
        if device().type != "cpu":
            return None
        node = self._nodes[first]
        if "crop" in self.on and first < last and isinstance(node.layer, Deconvolution):
            crop = self._nodes[first + 1]
            if isinstance(crop.layer, Crop) and node.top == crop.bottom[:1] and not seen(node.top[0]):
                return Chain([node, crop], [])
        if not self.on & {"fuse", "winograd", "windows"}:
            return None
        chain = find_chain(self._nodes, first, last, seen)
        for stage in chain.stages if chain is not None else ():
            stage.on = frozenset(self.on)
            stage.dtype = torch.bfloat16 if self.low and rounds(stage.node.layer) else torch.float32
        return chain

    def run(self, chain: Chain) -> Tensor | None:
        """The top of a chain whose nodes have been reshaped; None: the layers must run one by one."""
        bottom = chain.bottom.tensor()
        if bottom.dtype != torch.float32 or bottom.dim() != 4:
            return None
        if not chain.stages:
            return self._cropped(chain, bottom)
        if any(stage.lacks for stage in chain.stages):
            return None
        if "fuse" in self.on and not self.low:
            for node in self._large:
                self._bounds.norm(node)  # while the plain values are there
                self._prepare(node)
        if not self._bounds.holds(bottom, chain.stages):
            return None
        return self._staged(chain, fast_layout(bottom)).float()

    def _prepare(self, node: Node) -> None:
        """Put a large convolution's weight into the form that it is used in."""
        layer, shape = node.layer, node.bottom[0].shape
        assert isinstance(layer, Convolution)
        pad = layer.window.pad
        if "winograd" not in self.on or not winograd.prepare_kernels(layer, shape, (pad[0], pad[1])):
            packed.pack(layer, shape)

    def done(self, chain: Chain) -> None:
        """The chain's top has been set: remember what is known of it."""
        if self._new_note is not None:
            self._notes[chain.top] = (chain.top.stamp(), self._new_note)
        self._new_note = None

    def _note(self, blob: Blob) -> Note | None:
        """What is known of a blob, if its values are still those."""
        held = self._notes.get(blob)
        return held[1] if held is not None and held[0] == blob.stamp() else None

    def _staged(self, chain: Chain, x: Tensor) -> Tensor:
        sizes = [(top.shape[2], top.shape[3]) for top in (stage.node.top[0] for stage in chain.stages)]
        note = self._note(chain.bottom)
        done = 0
        while done < len(chain.stages):
            rest, window = chain.stages[done:], None
            if "windows" in self.on and not rest[0].pools:
                size = (x.shape[2], x.shape[3])
                window = find_window(rest, size, sizes[done:], note, self._backgrounds)
            if window is not None:
                x = run_window(window, x, "strips" in self.on)
                note = Note(window.reached[-1], window.background)
                done += len(window.stages)
            else:
                if "fuse" not in self.on:
                    self.lay_out(rest[0].node)
                x, note = run_whole(rest[0], x), None
                done += 1
        self._new_note = note
        return x

    def _cropped(self, chain: Chain, bottom: Tensor) -> Tensor | None:
        node, crop = chain.nodes
        found = self._interpolations.find(node)
        layer = crop.layer
        assert isinstance(layer, Crop)
        whole = node.top_shapes[0] if node.top_shapes else ()
        if found is None or found.factors is None or layer.start[:2] != (0, 0) or layer.size[:2] != whole[:2]:
            return None
        if bottom.numel() == 0 or not bool(torch.isfinite(bottom).all()):
            return None
        (_, _, top, left), (_, _, height, width) = layer.start, layer.size
        return found.part(bottom, (top, top + height), (left, left + width))
