"""Layers that bring data in: Input, Data, HDF5Data, and the transformation they share."""
