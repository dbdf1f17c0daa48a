"""One picture through a trained net, whose input is reshaped to it."""

import sys

import caffe
import numpy as np
from PIL import Image

picture, weights, out = sys.argv[1:]
pixels = np.array(Image.open(picture), dtype=np.float32)[:, :, ::-1]
pixels -= np.array((104.0, 116.7, 122.7))
net = caffe.Net("deploy.prototxt", weights, caffe.TEST)
net.blobs["data"].reshape(1, 3, *pixels.shape[:2])
net.blobs["data"].data[...] = pixels.transpose((2, 0, 1))
net.forward()
np.save(out, net.blobs["score"].data[0].argmax(axis=0))
