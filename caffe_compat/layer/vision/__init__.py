"""Layers over images: Convolution, Deconvolution, Pooling, Crop."""
