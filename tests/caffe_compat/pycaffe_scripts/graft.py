"""Net surgery on pycaffe's arrays."""

import numpy as np


def transplant(target, source):
    for name in source.params:
        if name not in target.params:
            print("left out", name)
            continue
        for to, of in zip(target.params[name], source.params[name], strict=True):
            if to.data.shape != of.data.shape:
                print("reshaped", name, of.data.shape, "to", to.data.shape)
            to.data.flat = of.data.flat


def interpolate(net, names):
    for name in names:
        outputs, inputs, size, _ = net.params[name][0].data.shape
        half = (size + 1) // 2
        middle = half - 1 if size % 2 else half - 0.5
        y, x = np.ogrid[:size, :size]
        kernel = (1 - abs(y - middle) / half) * (1 - abs(x - middle) / half)
        net.params[name][0].data[range(outputs), range(inputs), :, :] = kernel
