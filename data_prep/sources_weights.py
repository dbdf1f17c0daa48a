"""Public addresses of weights: the classifiers that nets start from, and the released FCNs. All go to ``weights``.

Source: FCNs: the caffemodel-url files of shelhamer/fcn.berkeleyvision.org; SHA-1 of voc-fcn32s and voc-fcn8s: opencv's
opencv_extra testdata/dnn/download_models.py. CaffeNet, AlexNet, GoogLeNet: BVLC/caffe models/*/readme.md. VGG: gists of
the authors (ksimonyan) and the pages they name; SHA-1: apache/mxnet tools/caffe_converter/model_zoo.py.
"""

from data_prep.sources import Source, SourceFile, download_hint

__all__ = ["WEIGHTS", "weights_hint"]

_INTO = "weights"
_BERKELEY = "http://dl.caffe.berkeleyvision.org"
_OXFORD = "www.robots.ox.ac.uk/~vgg/software"
_FCN_TERMS = "released for unrestricted use, as Caffe's bundled models are (README of the FCN release)"
_BERKELEY_BY_HAND = (
    "the server has been out of reach for days before: try later. OpenCV's and others' copies are the right file only "
    "if its checksum agrees"
)

_FCN_FILES = {
    "voc-fcn32s": "fcn32s-heavy-pascal",
    "voc-fcn16s": "fcn16s-heavy-pascal",
    "voc-fcn8s": "fcn8s-heavy-pascal",
    "voc-fcn8s-atonce": "fcn8s-atonce-pascal",
    "voc-fcn-alexnet": "fcn-alexnet-pascal",
    "nyud-fcn32s-color": "nyud-fcn32s-color-heavy",
    "nyud-fcn32s-hha": "nyud-fcn32s-hha-heavy",
    "nyud-fcn32s-color-hha": "nyud-fcn32s-color-hha-heavy",
    "siftflow-fcn32s": "siftflow-fcn32s-heavy",
    "siftflow-fcn16s": "siftflow-fcn16s-heavy",
    "siftflow-fcn8s": "siftflow-fcn8s-heavy",
    "pascalcontext-fcn32s": "pascalcontext-fcn32s-heavy",
    "pascalcontext-fcn16s": "pascalcontext-fcn16s-heavy",
    "pascalcontext-fcn8s": "pascalcontext-fcn8s-heavy",
}
_FCN_SHA1 = {
    "voc-fcn32s": "05eb922d7829c39448f57e5ab9d8cd75d6c0be6d",
    "voc-fcn8s": "c449ea74dd7d83751d1357d6a8c323fcf4038962",
}


def _berkeley(name: str, title: str, stem: str, terms: str, sha1: str = "", then: str = "") -> Source:
    file = f"{stem}.caffemodel"
    checksums = {"sha1": sha1} if sha1 else {}
    one = SourceFile(file, _INTO, (f"{_BERKELEY}/{file}",), None, checksums, by_hand=_BERKELEY_BY_HAND)
    return Source(name, title, (one,), terms, then=then)


def _fcn(model: str) -> Source:
    stem = _FCN_FILES[model]
    then = f"python solve.py {model} --score {{out}}/{_INTO}/{stem}.caffemodel --data {{out}}"
    return _berkeley(model, f"released weights of {model}", stem, _FCN_TERMS, _FCN_SHA1.get(model, ""), then)


_COLOR_D = Source(
    name="nyud-fcn32s-color-d",
    title="weights of nyud-fcn32s-color-d: never released",
    files=(
        SourceFile(
            name="nyud-fcn32s-color-d-heavy.caffemodel",
            into=_INTO,
            by_hand="the FCN release has no weights of this model: train it, or ask its authors",
        ),
    ),
    terms="none: there is nothing to download",
)


def _vgg(layers: int, gist: str, sha1: str, prototxt: str = "", prototxt_sha1: str = "") -> Source:
    stem = f"VGG_ILSVRC_{layers}_layers"
    files = [
        SourceFile(
            name=f"{stem}.caffemodel",
            into=_INTO,
            urls=tuple(f"{scheme}://{_OXFORD}/very_deep/caffe/{stem}.caffemodel" for scheme in ("https", "http")),
            size=553_432_081 if layers == 16 else None,
            checksums={"sha1": sha1},
            by_hand=f"the authors' page of it is https://gist.github.com/ksimonyan/{gist}",
        )
    ]
    if prototxt:
        url = f"https://gist.githubusercontent.com/ksimonyan/{gist}/raw/{prototxt}/{stem}_deploy.prototxt"
        files.append(
            SourceFile(f"{stem}_deploy.prototxt", _INTO, (url,), checksums={"sha1": prototxt_sha1}, by_hand=url)
        )
    return Source(
        name=f"vgg{layers}",
        title=f"VGG-{layers} of ILSVRC 2014"
        + (", which most of the paper's models start from" if layers == 16 else ""),
        files=tuple(files),
        terms="see http://www.robots.ox.ac.uk/~vgg/research/very_deep/ for the licence; cite Simonyan and Zisserman",
    )


def _vgg_cnn(letter: str, gist: str, sha1: str = "") -> Source:
    file = f"VGG_CNN_{letter}.caffemodel"
    url = f"{_OXFORD}/deep_eval/releases/bvlc/{file}"
    one = SourceFile(
        name=file,
        into=_INTO,
        urls=(f"https://{url}", f"http://{url}"),
        checksums={"sha1": sha1} if sha1 else {},
        by_hand="the authors' page of it is "
        + (f"https://gist.github.com/ksimonyan/{gist}" if gist else f"http://{url}"),
    )
    terms = "non-commercial use only; cite Chatfield et al. (BMVC 2014)"
    return Source(f"vgg-cnn-{letter.lower()}", f"VGG CNN {letter} (BMVC 2014)", (one,), terms)


_BVLC_TERMS = "released for unrestricted use (the model's readme in BVLC/caffe)"

WEIGHTS = (
    _vgg(
        16,
        "211839e770f7b538e2d8",
        "9363e1f6d65f7dba68c4f27a1e62105cdf6c4e24",
        "0067c9b32f60362c74f4c445a080beed06b07eb3",
        "2734e5500f1445bd7c9fee540c99f522485247bd",
    ),
    _vgg(19, "3785162f95cd2d5fee77", "239785e7862442717d831f682bb824055e51e9ba"),
    _vgg_cnn("F", "a32c9063ec8e1118221a"),
    _vgg_cnn("M", ""),
    _vgg_cnn("S", "fd8800eeb36e276cd6f9", "862b3744bce69b7ba90d29b8099aed3b00c8580b"),
    _berkeley(
        "caffenet",
        "CaffeNet, which FCN-AlexNet starts from",
        "bvlc_reference_caffenet",
        _BVLC_TERMS,
        "4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46",
    ),
    _berkeley("alexnet", "AlexNet", "bvlc_alexnet", _BVLC_TERMS, "9116a64c0fbe4459d18f4bb6b56d647b63920377"),
    _berkeley("googlenet", "GoogLeNet", "bvlc_googlenet", _BVLC_TERMS, "405fc5acd08a3bb12de8ee5e23a96bec22f08204"),
    *(_fcn(model) for model in _FCN_FILES),
    _COLOR_D,
)
"""All weights."""


def weights_hint(wanted: str) -> str:
    """What gets the weights of a model, or a file, of that name, for the end of a message; empty where nothing does.

    Args:
        wanted: such as ``voc-fcn32s`` or ``VGG_ILSVRC_16_layers.caffemodel``.
    """
    names = (one.name for one in WEIGHTS for file in one.files if file.urls and wanted in (one.name, file.name))
    found = next(names, None)
    return "" if found is None else f"; {download_hint(found)}"
