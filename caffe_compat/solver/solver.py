"""Solver: the training loop that all types share, with pycaffe's face.

Source: BVLC/caffe src/caffe/solver.cpp, src/caffe/solvers/sgd_solver.cpp; python/caffe/_caffe.cpp for the public names.
"""

import os
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from google.protobuf import text_format

from caffe_compat import glog
from caffe_compat.device import set_random_seed
from caffe_compat.layer.blob import Blob
from caffe_compat.net.net import Net
from caffe_compat.parallel import solver_rank
from caffe_compat.proto.caffe_pb2 import NetParameter, SolverParameter
from caffe_compat.solver.debug_info import DebugInfo
from caffe_compat.solver.early_update import EarlyUpdate
from caffe_compat.solver.evaluation import Output, display, run_test
from caffe_compat.solver.lr import learning_rate
from caffe_compat.solver.params import check_prefix, check_settings, net_to_train, nets_to_test, read_settings
from caffe_compat.solver.signals import SignalRequests
from caffe_compat.solver.smoothed_loss import SmoothedLoss
from caffe_compat.solver.snapshot import restore_snapshot, write_snapshot
from caffe_compat.solver.update import History, ParameterUpdate

__all__ = ["Solver"]


class Solver:
    """Trains a net: forward, backward, update, with tests, log lines and snapshots when they are due.

    Use a type's class (``SGDSolver``, ...) or ``get_solver``. A class trains by its own rule whatever ``type`` the
    settings name, as in pycaffe.

    Args:
        source: a solver prototxt, or the message. Net paths in it are relative to the current folder.
        keep: build the train net lean: of its activations only these blobs (and the outputs) survive a forward. Very
            large weights, such as fc6's, are then updated during the backward where nobody asks for their gradient (by
            a callback, clipping, iter_size, debug_info or snapshot_diff), and have no diff after a ``step``.
        precision: of a lean train net, "fp32" or "bf16"; see ``Net``. Parameters and updates are float32 either way.

    Attributes:
        net: the train net.
        test_nets: the test nets, in Caffe's order; they share the train net's weights from their first test on.
        param: the settings, a live message: changing it changes the next iteration.
        iter: number of updates done.
        current_step: the step counter of lr_policy step and multistep.
        history: the rule's arrays, in Caffe's order; None stands for zeros not yet needed.
        loss: loss of the last iteration, averaged over iter_size; NaN before the first.
        smoothed: the running mean of the loss that the log shows.
        test_scores: of each test net, the mean outputs of its last test.
        requested_early_exit: whether a signal asked the last ``step`` or ``solve`` to stop.

    Raises:
        SolverError: settings that make no sense; the message says which and what is wanted.
        ParseError: the solver or a net file cannot be read.
        NetError: a net cannot be built.
    """

    type = ""
    history_per_param = 1
    rests_at_zero_rate = False

    def __init__(
        self,
        source: str | os.PathLike[str] | SolverParameter,
        keep: Sequence[str] | None = None,
        precision: str = "fp32",
    ) -> None:
        self.param = read_settings(source)
        check_settings(self.param)
        self.check(self.param)
        glog.info(
            "solver.cpp:45",
            f"Initializing solver from parameters: \n{text_format.MessageToString(self.param).rstrip()}",
        )
        if self.param.snapshot:
            check_prefix(self.param)
        if self.param.random_seed >= 0:
            set_random_seed(self.param.random_seed + solver_rank())
        self.iter = self.current_step = 0
        self.loss = float("nan")
        self.requested_early_exit = False
        self._signals: SignalRequests | None = None
        self._callbacks: list[tuple[Callable[[], object], Callable[[], object]]] = []
        self._continued: SmoothedLoss | None = None
        self.smoothed = SmoothedLoss(self.param.average_loss)
        self._build_nets(keep, precision)
        self._debug = DebugInfo(self.net) if self.param.debug_info else None
        self.history: History = [None] * (self.history_per_param * len(self.net.learnable_params))
        glog.info("solver.cpp:57", "Solver scaffolding done.")

    def _build_nets(self, keep: Sequence[str] | None, precision: str) -> None:
        origin, net = net_to_train(self.param)
        how = f"from {origin}" if " file: " in origin else f"specified in {origin}."
        glog.info("solver.cpp:102", f"Creating training net {how}")
        self.net = self._build(net, keep, precision)
        self.test_nets: list[Net] = []
        self.test_scores: list[list[Output]] = []
        for i, (origin, net) in enumerate(nets_to_test(self.param)):
            glog.info("solver.cpp:190", f"Creating test net (#{i}) specified by {origin}")
            self.test_nets.append(self._build(net, None, "fp32"))
            self.test_scores.append([])

    def _build(self, param: NetParameter, keep: Sequence[str] | None, precision: str) -> Net:
        net = Net(param, keep=keep, precision=precision)
        if keep is not None:
            net.keep_also(net.outputs)
        for names in self.param.weights:
            for path in names.split(","):
                glog.info("solver.cpp:72", f"Finetuning from {path.strip()}")
                net.copy_from(path.strip())
        return net

    # -- what a type says of itself ------------------------------------------------------------------------------------

    @classmethod
    def check(cls, param: SolverParameter) -> None:
        """See that the settings suit this type.

        Raises:
            SolverError: they do not.
        """

    def update_value(self, grad: torch.Tensor, history: Sequence[torch.Tensor], rate: float) -> None:
        """See ``UpdateRule.update_value``."""
        raise NotImplementedError(f"{type(self).__name__} does not define update_value")

    @property
    def momentum(self) -> float:
        """The setting of that name."""
        return self.param.momentum

    # -- pycaffe's face ------------------------------------------------------------------------------------------------

    @property
    def max_iter(self) -> int:
        """The setting of that name."""
        return self.param.max_iter

    def step(self, iters: int) -> None:
        """Do this many iterations (fewer if a signal asks to stop).

        Raises:
            SolverError: lr_policy is not set.
        """
        self.requested_early_exit = False
        self._run(iters)

    def solve(self, resume_file: str | os.PathLike[str] | None = None) -> None:
        """Train until max_iter, with a final snapshot and test where the settings ask for them.

        Args:
            resume_file: a solver state to restore first.

        Raises:
            SolverError: as for ``step`` and ``restore``; a final snapshot is due and cannot be written.
        """
        glog.info("solver.cpp:289", f"Solving {self.net.name}")
        glog.info("solver.cpp:290", f"Learning Rate Policy: {self.param.lr_policy}")
        self.requested_early_exit = False
        if resume_file:
            glog.info("solver.cpp:296", f"Restoring previous solver status from {os.fspath(resume_file)}")
            self.restore(resume_file)
        if self.param.snapshot_after_train and self.param.HasField("snapshot_prefix"):
            check_prefix(self.param)
        with self._watched():
            self._run(self.param.max_iter - self.iter)
            just_taken = self.param.snapshot and self.iter % self.param.snapshot == 0
            if (self.param.snapshot_after_train or self.requested_early_exit) and not just_taken:
                self.snapshot()
            if self.requested_early_exit:
                glog.info("solver.cpp:311", "Optimization stopped early.")
                return
            if self.param.display and self.iter % self.param.display == 0:
                self.smoothed.add(self.net.forward_loss())
                glog.info("solver.cpp:327", f"Iteration {self.iter}, loss = {glog.number(self.smoothed.value)}")
            if self.param.test_interval and self.iter % self.param.test_interval == 0:
                self.test_all()
        glog.info("solver.cpp:332", "Optimization Done.")

    def apply_update(self) -> None:
        """Update the parameters by the gradients that are there; ``iter`` stays as it is.

        Raises:
            SolverError: lr_policy is not set.
        """
        self._apply_update(())

    def _apply_update(self, done: Collection[Blob]) -> None:
        rate, self.current_step = learning_rate(self.param, self.iter, self.current_step)
        if self._display_is_due():
            glog.info("sgd_solver.cpp:112", f"Iteration {self.iter}, lr = {glog.number(rate)}")
        self._parameter_update().apply(rate, done)

    def _parameter_update(self) -> ParameterUpdate:
        return ParameterUpdate(
            rule=self,
            params=self.net.learnable_params,
            lr_mults=self.net.params_lr,
            decay_mults=self.net.params_weight_decay,
            weight_decay=self.param.weight_decay,
            l1=self.param.regularization_type == "L1",
            clip=self.param.clip_gradients,
            iter_size=self.param.iter_size,
            history=self.history,
        )

    def _early_update(self) -> EarlyUpdate | None:
        """What updates very large weights in the backward; None where their gradients must be there afterwards."""
        p = self.param
        own = type(self).apply_update is Solver.apply_update
        alone = own and p.iter_size == 1 and p.clip_gradients < 0 and not p.snapshot_diff and p.HasField("lr_policy")
        if not self.net.lean or not alone or self._callbacks or self._debug is not None:
            return None
        rate, _ = learning_rate(p, self.iter, self.current_step)
        return EarlyUpdate(self.net, self._parameter_update(), rate)

    def snapshot(self) -> tuple[str, str]:
        """Write ``{prefix}_iter_{iter}.caffemodel`` and ``.solverstate`` (``.h5`` by snapshot_format).

        Returns:
            Paths of the weights and of the state.

        Raises:
            WeightsError: a file cannot be written; none is left half written.
        """
        return write_snapshot(self)

    def restore(self, path: str | os.PathLike[str]) -> None:
        """Go back to a snapshot, Caffe's or ours: iteration, history, and the weights that the state names.

        The weights are looked for at the path in the state, from the current folder, then beside the state.

        Args:
            path: a ``.solverstate`` or ``.solverstate.h5``.

        Raises:
            SolverError: the history is of another solver type or net.
            WeightsError: a file is missing or damaged, or the weights do not fit. On any error net and solver stay as
                they were.
        """
        restore_snapshot(self, path)

    def share_weights(self, net: Net) -> None:
        """Let another net use this solver's weights from now on."""
        net.share_with(self.net)

    def add_callback(self, on_start: Callable[[], object], on_gradients_ready: Callable[[], object]) -> None:
        """Have functions called in every iteration.

        Args:
            on_start: before the first forward.
            on_gradients_ready: after the last backward, before the update.
        """
        self._callbacks.append((on_start, on_gradients_ready))

    # -- ours ----------------------------------------------------------------------------------------------------------

    def handle_signals(self, sigint: str = "stop", sighup: str = "snapshot") -> None:
        """Let signals that come during ``step`` and ``solve`` take effect after the iteration.

        ``stop`` ends the run, ``solve`` then takes a snapshot; ``snapshot`` takes one and goes on; ``none`` ignores
        the signal.

        Raises:
            SolverError: an unknown effect.
        """
        self._signals = SignalRequests(sigint, sighup)

    def continue_loss(self, smoothed: SmoothedLoss) -> None:
        """Let the next ``step`` go on with this mean of the loss, where it would begin a new one."""
        self.smoothed = self._continued = smoothed

    def test_all(self) -> None:
        """Test every test net on test_iter batches; the means go to the log and to ``test_scores``."""
        for i in range(len(self.test_nets)):
            if not self.requested_early_exit:
                run_test(self, i, self._may_go_on_testing)

    # -- the loop ------------------------------------------------------------------------------------------------------

    def _run(self, iters: int) -> None:
        stop = self.iter + iters
        self.smoothed = self._continued or SmoothedLoss(self.param.average_loss)
        self._continued = None
        since, shown = time.perf_counter(), self.iter
        with self._watched():
            while self.iter < stop:
                self.net.clear_param_diffs()
                if self._test_is_due():
                    self.test_all()
                    if self.requested_early_exit:
                        break
                for on_start, _ in self._callbacks:
                    on_start()
                early = self._early_update()
                with early or nullcontext():
                    self._forward_backward()
                if self._display_is_due():
                    display(self, time.perf_counter() - since, self.iter - shown)
                    since, shown = time.perf_counter(), self.iter
                for _, on_gradients_ready in self._callbacks:
                    on_gradients_ready()
                if early is None:
                    self.apply_update()
                else:
                    self._apply_update(early.done)
                self.iter += 1
                request = self._signals.take() if self._signals else "none"
                if (self.param.snapshot and self.iter % self.param.snapshot == 0) or request == "snapshot":
                    self.snapshot()
                if request == "stop":
                    self.requested_early_exit = True
                    break

    def _watched(self) -> AbstractContextManager[object]:
        return self._signals or nullcontext()

    def _test_is_due(self) -> bool:
        interval = self.param.test_interval
        return bool(interval) and self.iter % interval == 0 and (self.iter > 0 or self.param.test_initialization)

    def _display_is_due(self) -> bool:
        return bool(self.param.display) and self.iter % self.param.display == 0

    def _forward_backward(self) -> None:
        loss = np.float32(0)
        if self._debug is not None:
            self._debug.active = self._display_is_due()
        for _ in range(self.param.iter_size):
            loss += np.float32(self.net.forward_backward())
            if self._debug is not None:
                self._debug.params()
        self.loss = float(loss / np.float32(self.param.iter_size))
        self.smoothed.add(self.loss)

    def _may_go_on_testing(self) -> bool:
        while self._signals and (request := self._signals.take()) != "none":
            if request == "snapshot":
                self.snapshot()
            else:
                self.requested_early_exit = True
        return not self.requested_early_exit
