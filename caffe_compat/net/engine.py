"""Forward and backward over a net's nodes, by one small autograd graph per segment.

A segment is a layer with the in-place layers that follow it directly (conv1_1, relu1_1). It runs on detached inputs
under autograd; backward walks the segments in reverse and reads and writes blob diffs at every boundary, which is what
Caffe does: diffs exist between layers, parts of the net can run alone, and memory can go as soon as nobody needs it.

Training nets record graphs in forward. Test nets do not: backward re-makes the graph of a segment from the present
bottoms, as it does for a segment whose record is missing or whose inputs have been rewritten since.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch.autograd.graph import GradientEdge, get_gradient_edge

from caffe_compat.device import device, generator
from caffe_compat.errors import NetError
from caffe_compat.layer.blob import Blob, Shape
from caffe_compat.layer.contract import BlobLayer, Context, SourceLayer
from caffe_compat.net.graph import Graph, Node
from caffe_compat.net.plan import Plan
from caffe_compat.net.plan.precision import check_precision
from caffe_compat.net.plan.stage import Chain
from caffe_compat.net.record import Callbacks, Record
from caffe_compat.proto import caffe_pb2 as pb

__all__ = ["Engine"]

Tensor = torch.Tensor


class Engine:
    """Runs ranges of nodes.

    Args:
        graph: the wired net.
        keep: names of the blobs to keep in a lean net; None keeps everything, as Caffe does.
        precision: ``fp32``; or ``bf16``, for lean nets.
    """

    def __init__(self, graph: Graph, keep: Collection[str] | None, precision: str = "fp32") -> None:
        check_precision(precision, lean=keep is not None)
        self.nodes = graph.nodes
        self.callbacks = Callbacks()
        self.plan = Plan(graph.nodes, enabled=keep is not None, low=precision == "bf16")
        self._blob_names = {blob: name for name, blob in graph.blobs.items()}
        self._kept: set[Blob] | None = None
        if keep is not None:
            unknown = sorted(set(keep) - set(graph.blobs))
            if unknown:
                raise NetError(f"keep names no blob of the net: {', '.join(unknown)}; blobs: {', '.join(graph.blobs)}")
            self._kept = {graph.blobs[name] for name in [*keep, *graph.inputs]}
        else:
            self._share_memory()
        self._records: dict[int, Record] = {}
        self._overwritten: dict[int, Tensor] = {}  # bottom 0 of an in-place layer that begins a segment
        self._seeded: dict[Blob, Shape] = {}
        self._last_write = {blob: node.index for node in self.nodes for blob in node.top}
        self._last_use = self._last_write | {blob: node.index for node in self.nodes for blob in node.bottom}
        for node in self.nodes:
            self._seed_losses(node)

    def _share_memory(self) -> None:
        """Make tops one memory with the bottom where Caffe's are: what is written to one, the other shows."""
        for node in self.nodes:
            kind, alone = node.layer.type, len(node.bottom) == len(node.top) == 1
            if kind == "Split" or (alone and kind in ("Concat", "Flatten", "Reshape", "Slice") and not node.in_place):
                for top in node.top:
                    top.share_data(node.bottom[0])

    # -- forward -------------------------------------------------------------------------------------------------------

    def forward(self, first: int, last: int) -> float:
        """Run nodes first..last and return their share of the loss."""
        loss = 0.0
        plain_until = -1
        while first <= last:
            chain = self._chain(first, last) if first > plain_until else None
            if chain is not None:
                plain_until = chain.nodes[-1].index
                if self._run_chain(chain):
                    first = plain_until + 1
                    continue
            end = self._segment_end(first, last)
            self._forget(first, end)
            head = self.nodes[first].layer
            for callback in self.callbacks.before_forward:
                callback(first)
            if isinstance(head, BlobLayer):
                self.nodes[first].reshape()
                head.forward_blobs(self.nodes[first].bottom, self.nodes[first].top)
            else:
                self._forward_segment(first, end)
            for index in range(first, end + 1):
                loss += self._loss(self.nodes[index])
            self._free_after_forward(first, end)
            for callback in self.callbacks.after_forward:
                callback(end)
            first = end + 1
        return loss

    def _chain(self, first: int, last: int) -> Chain | None:
        """Nodes from first on that the plan may run as one, because nobody sees what is between them.

        None in phase TRAIN: what is between them is part of the gradient's way.
        """
        if self._kept is None or self.callbacks.any() or self.nodes[first].layer.phase == pb.TRAIN:
            return None
        kept = self._kept
        return self.plan.chain(first, last, lambda blob: blob in kept or blob.leased)

    def _run_chain(self, chain: Chain) -> bool:
        """Run a chain by the plan; False: the plan leaves it to the layers."""
        first, last = chain.nodes[0].index, chain.nodes[-1].index
        self._forget(first, last)
        for node in chain.nodes:
            node.reshape()
        try:
            value = self.plan.run(chain)
        except Exception as error:
            error.add_note(f"in the forward of layers '{chain.nodes[0].layer.name}' to '{chain.nodes[-1].layer.name}'")
            raise
        if value is None:
            return False
        self._check_tops(chain.nodes[-1], [value])
        chain.top.set_tensor(value)
        self.plan.done(chain)
        self._free_after_forward(first, last)
        return True

    def _segment_end(self, first: int, limit: int) -> int:
        """The last node of the segment that begins at first, not beyond limit."""
        end = first
        while end < limit and not self.callbacks.any() and self._follows(end + 1):
            end += 1
        return end

    def _follows(self, index: int) -> bool:
        """Whether a node works in place on the only top of the node right before it, both being tensor layers."""
        node, before = self.nodes[index], self.nodes[index - 1]
        return (
            index > 0
            and node.in_place
            and len(node.top) == 1
            and before.top == [node.top[0]]
            and not any(isinstance(n.layer, BlobLayer | SourceLayer) for n in (node, before))
        )

    def _forward_segment(self, first: int, last: int) -> None:
        nodes = self.nodes[first : last + 1]
        record = None
        if nodes[0].layer.phase == pb.TRAIN and any(node.need_backward for node in nodes):
            record = Record(first, last)
        tops = self._run(nodes, record, replay=False)
        for top, value in zip(nodes[-1].top, tops, strict=True):
            top.set_tensor(value.float() if value.dtype == torch.bfloat16 and self.keeps(top) else value)
        self.plan.follow(nodes[-1])
        if record is not None:
            self._note(record)

    def _run(self, nodes: Sequence[Node], record: Record | None, replay: bool) -> list[Tensor]:
        """The last node's tops; with a record, under autograd, with the graph's ends noted in it."""
        tops: list[Tensor] = []
        with torch.set_grad_enabled(record is not None):
            for node in nodes:
                chained = node is not nodes[0]
                bottoms = self._bottoms(node, tops[0] if chained else None, record, replay)
                if not replay:
                    node.reshape()
                context = Context(
                    phase=node.layer.phase,
                    generator=generator(),
                    state=node.state,
                    replay=replay,
                    in_place=chained and self.nodes[node.index - 1].layer.top_is_free,
                    same_blob=node.in_place,
                )
                try:
                    params = None if record is None else self._params(node, record)
                    if params is None or (not any(node.param_need_backward) and node.layer.blobs):
                        tops = self.plan.forward(node, bottoms, context)
                    else:
                        tops = self.plan.learn(node, bottoms, params, context, self._is_spent(node))
                except Exception as error:
                    error.add_note(f"in the forward of layer '{node.layer.name}' ({node.layer.type})")
                    raise
                self._check_tops(node, tops)
                if record is not None:
                    record.tops.append([get_gradient_edge(t) if t.requires_grad else None for t in tops])
        return tops

    def _is_spent(self, node: Node) -> bool:
        """Whether nobody reads a node's top diff after its backward."""
        return self._kept is not None and not any(node.loss_weights) and self._kept.isdisjoint(node.top)

    def _bottoms(self, node: Node, chained: Tensor | None, record: Record | None, replay: bool) -> list[Tensor]:
        bottoms, leaves = [], []
        for i, blob in enumerate(node.bottom):
            leaf = None
            if i == 0 and chained is not None:
                value = chained if record is None or node.bottom_need_backward[0] else chained.detach()
            else:
                value = self._read(node, i, replay)
                if record is not None:
                    record.seen.append((blob, 0))  # stamped when the record is filed
                    if node.bottom_need_backward[i]:
                        value = leaf = value.detach().requires_grad_()
            bottoms.append(value)
            leaves.append(leaf)
        if record is not None:
            record.inputs.append(leaves)
        return bottoms

    def _read(self, node: Node, i: int, replay: bool) -> Tensor:
        """A bottom's values; those that this very node overwrites are kept for its backward."""
        blob = node.bottom[i]
        if not (i == 0 and node.in_place):
            return blob.tensor()
        if replay and node.index in self._overwritten:
            return self._overwritten[node.index]
        value = blob.tensor().clone() if blob.leased else blob.tensor()
        if self._kept is None and node.need_backward and not replay:
            self._overwritten[node.index] = value
        return value

    def _params(self, node: Node, record: Record) -> list[Tensor]:
        self.plan.lay_out(node)
        leaves = [
            blob.tensor().detach().requires_grad_() if need else None
            for blob, need in zip(node.layer.blobs, node.param_need_backward, strict=True)
        ]
        record.params.append(leaves)
        return [blob.tensor() if leaf is None else leaf for blob, leaf in zip(node.layer.blobs, leaves, strict=True)]

    @staticmethod
    def _check_tops(node: Node, tops: list[Tensor]) -> None:
        """Hold the tops to the number and shapes that the layer announced."""
        if len(tops) != len(node.top):
            raise node.layer.error(f"its forward gave {len(tops)} tops for {len(node.top)}")
        for i, (top, shape) in enumerate(zip(tops, node.top_shapes or [t.shape for t in tops], strict=True)):
            if tuple(top.shape) != tuple(shape) and not isinstance(node.layer, SourceLayer):
                raise node.layer.error(f"its forward gave top {i} the shape {tuple(top.shape)}, its reshape {shape}")

    def _note(self, record: Record) -> None:
        """File a record. Inputs that a later in-place layer overwrites cannot tell whether they changed otherwise."""
        record.seen = [(b, b.stamp()) for b, _ in record.seen if self._last_write.get(b, -1) <= record.last]
        for index in range(record.first, record.last + 1):
            self._records[index] = record

    def _loss(self, node: Node) -> float:
        loss = 0.0
        for top, weight in zip(node.top, node.loss_weights, strict=True):
            if weight:
                loss += weight * float(top.tensor().sum())
        self._seed_losses(node)
        return loss

    def _seed_losses(self, node: Node) -> None:
        """Give loss tops the diff that their weight means, once: after that it is the user's to change."""
        for top, weight in zip(node.top, node.loss_weights, strict=True):
            if weight and self._seeded.get(top) != top.shape:
                top.set_diff_tensor(torch.full(top.shape, weight, device=device()))
                self._seeded[top] = top.shape

    # -- backward ------------------------------------------------------------------------------------------------------

    def backward(self, first: int, last: int) -> None:
        """Run nodes last..first in reverse."""
        while last >= first:
            node = self.nodes[last]
            for callback in self.callbacks.before_backward:
                callback(last)
            start = last
            if node.need_backward and isinstance(node.layer, BlobLayer):
                self._seed_losses(node)
                node.layer.backward_blobs(node.top, node.bottom_need_backward, node.bottom)
            elif node.need_backward and not isinstance(node.layer, SourceLayer):
                start = self._backward_segment(first, last)
            self._free_after_backward(start, last)
            for callback in self.callbacks.after_backward:
                callback(start)
            last = start - 1

    def _backward_segment(self, first: int, last: int) -> int:
        """Run the segment that holds node last back to its head, or to first; returns where it stopped."""
        record = self._records.get(last)
        if record is None or (self._kept is None and record.stale()):
            record = self._replay(last)
        start = max(first, record.first) if not self.callbacks.any() else last
        self._seed_losses(self.nodes[last])
        targets: list[tuple[Callable[[Tensor | None], None], Any]] = []
        for index in range(start, last + 1):
            node, at = self.nodes[index], index - record.first
            for blob, leaf in zip(node.bottom, record.inputs[at], strict=True):
                if leaf is not None:
                    targets.append((self._bottom_writer(blob), leaf))
            for blob, leaf in zip(node.layer.blobs, record.params[at], strict=True):
                if leaf is not None:
                    targets.append((self._param_writer(blob), leaf))
        edge = self._in_place_edge(record, start, last)
        if edge is not None:
            targets.append((self._bottom_writer(self.nodes[start].top[0]), edge))
        self._differentiate(record, last, targets)
        return start

    def _in_place_edge(self, record: Record, start: int, last: int) -> GradientEdge | None:
        """Where the diff of a segment's in-place blob comes from: the gradient before its first in-place layer."""
        if start > record.first:  # the rest of the segment is left for another call, which goes on from this diff
            return record.tops[start - record.first - 1][0] if self.nodes[start].bottom_need_backward[0] else None
        if start < last and self._kept is None and self.nodes[start + 1].bottom_need_backward[0]:
            return record.tops[0][0]
        return None

    def _differentiate(
        self, record: Record, last: int, targets: list[tuple[Callable[[Tensor | None], None], Any]]
    ) -> None:
        node = self.nodes[last]
        edges, diffs = [], []
        for top, edge in zip(node.top, record.tops[last - record.first], strict=True):
            if edge is not None and top.has_diff:
                edges.append(edge)
                diffs.append(top.diff_tensor())
        if not edges or not targets:
            for write, _ in targets:
                write(None)
            return
        retain = self._kept is None
        gradients = torch.autograd.grad(edges, [at for _, at in targets], diffs, retain_graph=retain, allow_unused=True)
        taken = {diff.data_ptr() for diff in diffs}  # autograd may give one tensor twice: each blob gets its own
        for (write, _), gradient in zip(targets, gradients, strict=True):
            if gradient is not None and gradient.data_ptr() in taken:
                gradient = gradient.clone()
            if gradient is not None:
                taken.add(gradient.data_ptr())
            write(gradient)

    @staticmethod
    def _bottom_writer(blob: Blob) -> Callable[[Tensor | None], None]:
        return lambda gradient: blob.clear_diff() if gradient is None else blob.set_diff_tensor(gradient)

    @staticmethod
    def _param_writer(blob: Blob) -> Callable[[Tensor | None], None]:
        return lambda gradient: None if gradient is None else blob.add_diff(gradient)

    def _replay(self, last: int) -> Record:
        """The graph of the segment that ends at node last, made from the bottoms as they are now."""
        first = last
        while first > 0 and not self.callbacks.any() and self._follows(first):
            first -= 1
        record = Record(first, last)
        self._run(self.nodes[first : last + 1], record, replay=True)
        self._note(record)
        return record

    # -- memory --------------------------------------------------------------------------------------------------------

    def _forget(self, first: int, last: int) -> None:
        for index in range(first, last + 1):
            record = self._records.pop(index, None)
            if record is not None:
                for other in range(record.first, record.last + 1):
                    self._records.pop(other, None)
            self._overwritten.pop(index, None)

    def _free_after_forward(self, first: int, last: int) -> None:
        """In a lean net, drop what no later layer reads and nobody asked to keep."""
        if self._kept is None:
            return
        for index in range(first, last + 1):
            for blob in {*self.nodes[index].bottom, *self.nodes[index].top} - self._kept:
                if self._last_use[blob] <= last:
                    blob.free_data(self._why_dropped(blob))

    def _free_after_backward(self, first: int, last: int) -> None:
        """In a lean net, drop graphs and diffs that have been used up."""
        if self._kept is None:
            return
        self._forget(first, last)
        for index in range(first, last + 1):
            for blob in {*self.nodes[index].top} - self._kept - {*self.nodes[first].bottom} - self._seeded.keys():
                blob.clear_diff()

    def _why_dropped(self, blob: Blob) -> str:
        name = self._blob_names[blob]
        return f"blob '{name}' was dropped by a lean net; build it with Net(..., keep=['{name}', ...]) to read it"

    def keeps(self, blob: Blob) -> bool:
        """Whether a blob can be read after a forward."""
        return self._kept is None or blob in self._kept

    def keep_also(self, blobs: Collection[Blob]) -> None:
        """In a lean net, keep these blobs too from the next forward on."""
        if self._kept is not None:
            self._kept |= set(blobs)
