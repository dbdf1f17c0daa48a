"""Layers: the contract, blobs, the registry, fillers, and the catalogue of Caffe's layer types by family.

Importing this package registers the whole catalogue.
"""
