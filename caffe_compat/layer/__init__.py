"""Layers: the contract, blobs, the registry, fillers, and the catalogue of Caffe's layer types by family.

Importing this package registers nothing; importing ``caffe_compat.layer.catalogue`` registers every type.
"""
