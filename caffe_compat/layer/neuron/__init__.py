"""Neurons: layers that map each value by itself, in place if the prototxt says so."""
