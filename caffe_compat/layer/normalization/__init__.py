"""Layers that normalise by statistics of their bottom: LRN, BatchNorm, MVN."""
