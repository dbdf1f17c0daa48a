"""Python data layers as users wrote them for pycaffe: param_str is evaluated, draws come from the random module."""

import random

import caffe
import numpy as np
import scipy.io
from PIL import Image


class Pairs(caffe.Layer):
    def setup(self, bottom, top):
        settings = eval(self.param_str)
        self.folder = settings["folder"]
        self.mean = np.array(settings["mean"])
        if len(top) != 2 or bottom:
            raise Exception("two tops and no bottom, please")
        with open(self.listing(settings["split"])) as lines:
            self.names = lines.read().splitlines()
        self.shuffled = "train" in settings["split"]
        self.at = 0
        if self.shuffled:
            random.seed(settings["seed"])
            self.at = random.randint(0, len(self.names) - 1)

    def reshape(self, bottom, top):
        self.image = self.read_image(self.names[self.at])
        self.label = self.read_label(self.names[self.at])[np.newaxis]
        top[0].reshape(1, *self.image.shape)
        top[1].reshape(1, *self.label.shape)

    def forward(self, bottom, top):
        top[0].data[...] = self.image
        top[1].data[...] = self.label
        last = len(self.names) - 1
        self.at = random.randint(0, last) if self.shuffled else (self.at + 1 if self.at < last else 0)

    def backward(self, top, propagate_down, bottom):
        pass

    def read_image(self, name):
        pixels = np.array(Image.open(f"{self.folder}/{self.images}/{name}.jpg"), dtype=np.float32)[:, :, ::-1]
        pixels -= self.mean
        return pixels.transpose((2, 0, 1))


class TrainingPairs(Pairs):
    images = "img"

    def listing(self, split):
        return f"{self.folder}/{split}.txt"

    def read_label(self, name):
        return scipy.io.loadmat(f"{self.folder}/cls/{name}.mat")["GTcls"][0]["Segmentation"][0].astype(np.uint8)


class HeldOutPairs(Pairs):
    images = "JPEGImages"

    def listing(self, split):
        return f"{self.folder}/ImageSets/Segmentation/{split}.txt"

    def read_label(self, name):
        return np.array(Image.open(f"{self.folder}/SegmentationClass/{name}.png"), dtype=np.uint8)
