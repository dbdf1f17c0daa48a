"""Writes a classifier, and the fully convolutional nets made from it, as prototxts."""

import caffe
from caffe import layers as L
from caffe import params as P
from caffe.coord_map import crop

WIDTH = 6
LEARN = [dict(lr_mult=1, decay_mult=1), dict(lr_mult=2, decay_mult=0)]


def conv_relu(bottom, outputs, size=3, pad=1):
    conv = L.Convolution(
        bottom, num_output=outputs, kernel_size=size, pad=pad, param=LEARN, weight_filler=dict(type="msra")
    )
    return conv, L.ReLU(conv, in_place=True)


def trunk(n, pad):
    below = n.data
    for i in range(1, 6):
        n[f"conv{i}"], n[f"relu{i}"] = conv_relu(below, WIDTH, pad=pad if i == 1 else 1)
        n[f"pool{i}"] = below = L.Pooling(n[f"relu{i}"], pool=P.Pooling.MAX, kernel_size=2, stride=2)
    return below


def classifier():
    n = caffe.NetSpec()
    n.data = L.Input(shape=dict(dim=[1, 3, 224, 224]))
    n.fc6 = L.InnerProduct(trunk(n, 1), num_output=8, weight_filler=dict(type="msra"))
    n.relu6 = L.ReLU(n.fc6, in_place=True)
    n.fc7 = L.InnerProduct(n.relu6, num_output=8, weight_filler=dict(type="msra"))
    n.fc8 = L.InnerProduct(n.fc7, num_output=10)
    return n.to_proto()


def upsampled(bottom, size, stride):
    settings = dict(num_output=21, kernel_size=size, stride=stride, bias_term=False)
    return L.Deconvolution(bottom, convolution_param=settings, param=[dict(lr_mult=0)])


def segmenter(layer, folder, split):
    n = caffe.NetSpec()
    settings = dict(folder=folder, split=split, mean=(104.0, 116.7, 122.7), seed=1337)
    n.data, n.label = L.Python(module="folder_layers", layer=layer, ntop=2, param_str=str(settings))
    n.fc6, n.relu6 = conv_relu(trunk(n, 100), 8, size=7, pad=0)
    n.drop6 = L.Dropout(n.relu6, dropout_ratio=0.5, in_place=True)
    n.fc7, n.relu7 = conv_relu(n.drop6, 8, size=1, pad=0)
    n.score_fr = L.Convolution(n.relu7, num_output=21, kernel_size=1, param=LEARN)
    n.upscore2 = upsampled(n.score_fr, 4, 2)
    n.score_pool4 = L.Convolution(n.pool4, num_output=21, kernel_size=1, param=LEARN)
    n.score_pool4c = crop(n.score_pool4, n.upscore2)
    n.fuse = L.Eltwise(n.upscore2, n.score_pool4c, operation=P.Eltwise.SUM)
    n.upscore16 = upsampled(n.fuse, 32, 16)
    n.score = crop(n.upscore16, n.data)
    n.loss = L.SoftmaxWithLoss(n.score, n.label, loss_param=dict(normalize=False, ignore_label=255))
    return n.to_proto()


if __name__ == "__main__":
    for name, net in (
        ("classifier", classifier()),
        ("train", segmenter("TrainingPairs", "../drawn/sbdd/dataset", "train")),
        ("val", segmenter("HeldOutPairs", "../drawn/pascal/VOC2011", "seg11valid")),
    ):
        with open(name + ".prototxt", "w") as f:
            f.write(str(net))
    caffe.set_random_seed(3)
    caffe.Net("classifier.prototxt", caffe.TRAIN).save("classifier.caffemodel")
