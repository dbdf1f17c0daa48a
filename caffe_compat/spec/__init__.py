"""Nets written as Python programs, before any of them runs: specs, crop offsets, drawings.

``net_spec``   NetSpec and the ``L`` and ``P`` objects that make layer messages
``coord_map``  which pixel of one blob lies on which of another; the offsets of Crop layers
``draw``       a net message as a picture
"""
