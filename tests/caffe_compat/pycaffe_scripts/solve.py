"""Training as the FCN release's solve.py does it: on a GPU by number, weights by surgery, a score every few steps."""

import sys

import caffe
import graft
import measure
import numpy as np

caffe.set_device(int(sys.argv[1]))
caffe.set_mode_gpu()
caffe.set_random_seed(1)

solver = caffe.SGDSolver("solver.prototxt")
graft.transplant(solver.net, caffe.Net("classifier.prototxt", "classifier.caffemodel", caffe.TEST))
graft.interpolate(solver.net, [name for name in solver.net.params.keys() if "up" in name])
names = np.loadtxt("../drawn/pascal/VOC2011/ImageSets/Segmentation/seg11valid.txt", dtype=str)
for _ in range(2):
    solver.step(2)
    measure.held_out(solver, f"out_{solver.iter}", names)
