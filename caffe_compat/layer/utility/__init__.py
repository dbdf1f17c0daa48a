"""Utility layers: joining, cutting, reshaping, reducing and comparing blobs."""
