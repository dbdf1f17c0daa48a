"""The data layers and the LMDBs as a net reads them."""

import numpy as np

import caffe_compat
from data_prep import layers
from data_prep.lmdb_writer import write_lmdbs
from data_prep.records import PairLoader
from data_prep.voc import VOCFolder

MEAN = (104.00699, 116.66877, 122.67892)


def net_of(tmp_path, text):
    (tmp_path / "net.prototxt").write_text(text)
    return caffe_compat.Net(str(tmp_path / "net.prototxt"), caffe_compat.TEST)


def samples(net, count):
    taken = []
    for _ in range(count):
        net.forward()
        taken.append([net.blobs[top].data.copy() for top in ("data", "label")])
    return taken


def test_python_layers_and_data_layers_give_a_net_the_same(drawn, tmp_path):
    """Ours over the files, ours over the LMDBs, and Caffe's own Data layers over the LMDBs."""
    write_lmdbs(tmp_path / "db", drawn.val, PairLoader(VOCFolder(drawn.voc_dir)))
    paths = {f"{kind}_lmdb": str(tmp_path / f"db/{kind}_lmdb") for kind in ("image", "label")}
    layers.register_released_names()
    python = """layer {{ name: "data" type: "Python" top: "data" top: "label"
        python_param {{ module: "voc_layers" layer: "{}" param_str: "{}" }} }}"""
    common = {"split": "seg11valid", "mean": MEAN}
    files = net_of(tmp_path, python.format("VOCSegDataLayer", {"voc_dir": str(drawn.voc_dir), **common}))
    stored = net_of(tmp_path, python.format("LMDBSegDataLayer", {**paths, **common}))
    builtin = net_of(
        tmp_path,
        "".join(
            f"""layer {{ name: "{top}" type: "Data" top: "{top}"
                data_param {{ source: "{paths[kind]}" backend: LMDB batch_size: 1 }}
                transform_param {{ {" ".join(f"mean_value: {one}" for one in mean)} }} }}"""
            for top, kind, mean in (("data", "image_lmdb", MEAN), ("label", "label_lmdb", ()))
        ),
    )
    want = samples(files, 6)
    assert len({data.shape for data, _ in want}) > 1
    for net in (stored, builtin):
        for ours, theirs in zip(want, samples(net, 6), strict=True):
            np.testing.assert_allclose(ours[0], theirs[0], rtol=0, atol=1e-4)
            np.testing.assert_array_equal(ours[1], theirs[1])
