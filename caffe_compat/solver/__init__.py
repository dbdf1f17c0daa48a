"""Training: Caffe's solvers.

solver          the loop: forward, backward, update, test, display, snapshot; pycaffe's face
params          settings: reading, checking, which nets to train and test
lr              the learning rate policies
update          one update of all parameters, piece by piece
sgd, adaptive   the update rule of each solver type
registry        types by name, get_solver
evaluation      outputs in the log, averages over test iterations
debug_info      mean sizes of activations and gradients in the log
smoothed_loss   the loss that the log shows
snapshot        caffemodel and solverstate files
resume          what a bit-equal resume needs beyond them
signals         SIGINT and SIGHUP as requests
"""

from caffe_compat.solver.adaptive import AdaDeltaSolver, AdaGradSolver, AdamSolver, RMSPropSolver
from caffe_compat.solver.registry import get_solver, register, solver_types
from caffe_compat.solver.resume import apply_extra, capture_extra, load_extra, resume_name, save_extra
from caffe_compat.solver.sgd import NesterovSolver, SGDSolver
from caffe_compat.solver.solver import Solver

__all__ = [
    "AdaDeltaSolver",
    "AdaGradSolver",
    "AdamSolver",
    "NesterovSolver",
    "RMSPropSolver",
    "SGDSolver",
    "Solver",
    "apply_extra",
    "capture_extra",
    "get_solver",
    "load_extra",
    "register",
    "resume_name",
    "save_extra",
    "solver_types",
]
