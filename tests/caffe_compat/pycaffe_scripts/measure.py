"""Scores a solver's test net over a list, as training goes on."""

import os

import numpy as np
from PIL import Image


def held_out(solver, folder, names):
    net = solver.test_nets[0]
    net.share_with(solver.net)
    classes = net.blobs["score"].channels
    table, loss = np.zeros((classes, classes)), 0
    os.mkdir(folder)
    for name in names:
        net.forward()
        truth = net.blobs["label"].data[0, 0].flatten()
        guess = net.blobs["score"].data[0].argmax(0)
        known = (truth >= 0) & (truth < classes)
        pairs = classes * truth[known].astype(int) + guess.flatten()[known]
        table += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
        Image.fromarray(guess.astype(np.uint8)).save(os.path.join(folder, name + ".png"))
        loss += net.blobs["loss"].data.flat[0]
    print("iteration", solver.iter, "loss", loss / len(names), "accuracy", np.diag(table).sum() / table.sum())
