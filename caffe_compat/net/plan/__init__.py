"""Exact rewrites of what a lean net computes, one per file; what comes out is the same up to fp32 rounding."""

from caffe_compat.net.plan.plan import REWRITES, Plan

__all__ = ["REWRITES", "Plan"]
