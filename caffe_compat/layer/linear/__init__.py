"""Layers that are linear maps with learned weights: InnerProduct, Embed, Scale, Bias."""
