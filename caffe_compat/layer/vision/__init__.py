"""Layers over images: Convolution, Deconvolution, Pooling, Crop, Im2col, SPP."""
