"""Public addresses of the datasets.

They are unpacked as the FCN release lays its data folder out, which is what ``solve.py --data`` and
``python -m data_prep DATASET --source`` look for:

    archives/                       downloads, kept on request
    pascal/VOC2011                  VOC, by year
    sbdd/dataset                    SBD
    nyud                            NYUDv2 as the release has it
    nyud_v2                         NYU Depth V2 as its authors publish it
    sift-flow                       SIFT Flow and the release's lists
    pascal-context                  PASCAL-Context and the release's lists of classes; images: pascal/VOC2010

Source: addresses and layout: shelhamer/fcn.berkeleyvision.org data/*/README.md. VOC, MD5: pytorch/vision
torchvision/datasets/voc.py; size and SHA-256 of 2012, and the newer host and the mirror: as public download scripts
state them. SBD, MD5: torchvision/datasets/sbd.py; size: pytorch/vision issue 8471. NYU Depth V2, sizes and SHA-256:
public records of downloads of 2026. PASCAL-Context, newer host: cvlab-kaist/CAT-Seg issue 9. SHA-256 of the release's
lists: of the files at the commit named in the address.
"""

from data_prep.sources import Source, SourceFile

__all__ = ["DATASETS"]

_RELEASE = (
    "https://raw.githubusercontent.com/shelhamer/fcn.berkeleyvision.org/1305c7378a9f0ab44b2c936f4d60e4687e3d8743/data"
)
_META = "https://raw.githubusercontent.com/ankurhanda/nyuv2-meta-data/master"
_VOC_TERMS = (
    "VOC's images are from flickr: using them must respect flickr's terms; see the year's page under "
    "http://host.robots.ox.ac.uk/pascal/VOC/"
)
_VOC_ARCHIVES = {  # year -> name and checksums; of 2009, two MD5 are in circulation, so none is given
    2007: ("VOCtrainval_06-Nov-2007.tar", {"md5": "c52e279531787c972589f7e41ab4ae64"}),
    2008: ("VOCtrainval_14-Jul-2008.tar", {"md5": "2629fa636546599198acfcfbfcf1904a"}),
    2009: ("VOCtrainval_11-May-2009.tar", {}),
    2010: ("VOCtrainval_03-May-2010.tar", {"md5": "da459979d0c395079b5c75ee67908abb"}),
    2011: ("VOCtrainval_25-May-2011.tar", {"md5": "6c3384ef61512963050cb5d687e5bf1e"}),
    2012: (
        "VOCtrainval_11-May-2012.tar",
        {
            "md5": "6cd6e144f989b92b3379bac3b3de84fd",
            "sha256": "e14f763270cf193d0b5f74b169f44157a4b0c6efa708f4dd0ff78ee691763bcb",
        },
    ),
}
_VOC_SIZES = {2012: 1_999_639_040}
_VOC_MIRRORED = (2007, 2012)


def _voc(year: int) -> Source:
    name, checksums = _VOC_ARCHIVES[year]
    hosts = [f"{host}/pascal/VOC/voc{year}" for host in ("https://thor.robots.ox.ac.uk", "http://host.robots.ox.ac.uk")]
    hosts += ["https://data.pjreddie.com/files"] if year in _VOC_MIRRORED else []
    return Source(
        name=f"voc{year}",
        title=f"PASCAL VOC {year}, training and validation",
        files=(
            SourceFile(
                name=name,
                into=f"pascal/VOC{year}",
                urls=tuple(f"{host}/{name}" for host in hosts),
                size=_VOC_SIZES.get(year),
                checksums=checksums,
                holds="JPEGImages",
                by_hand=f"find it on http://host.robots.ox.ac.uk/pascal/VOC/voc{year}/",
            ),
        ),
        terms=_VOC_TERMS,
        then=f"python -m data_prep voc --source {{out}} --year {year} --out {{out}}/lmdb",
    )


_SBD = Source(
    name="sbd",
    title="SBD, the Semantic Boundaries Dataset",
    files=(
        SourceFile(
            name="benchmark.tgz",
            into="sbdd/dataset",
            urls=(
                "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/benchmark.tgz",
                "http://www.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/benchmark.tgz",
            ),
            size=1_419_539_633,
            checksums={"md5": "82b4d87ceb2ed10f6038a1cba92111cb"},
            holds="cls",
            by_hand="its page was http://home.bharathh.info/pubs/codes/SBD/download.html",
        ),
    ),
    terms="SBD labels images of PASCAL VOC; " + _VOC_TERMS,
    then="python -m data_prep sbd --source {out} --out {out}/lmdb",
)

_NYU_SITE = "horatio.cs.nyu.edu/mit/silberman"
_NYU_PAGE = "https://cs.nyu.edu/~silberman/datasets/nyu_depth_v2.html"
_NYUD = Source(
    name="nyud",
    title="NYU Depth V2 as published: frames, official split, mapping to 40 classes",
    files=(
        SourceFile(
            name="nyu_depth_v2_labeled.mat",
            into="nyud_v2",
            urls=tuple(f"{scheme}://{_NYU_SITE}/nyu_depth_v2/nyu_depth_v2_labeled.mat" for scheme in ("https", "http")),
            size=2_972_037_809,
            checksums={"sha256": "2d724b0c0ab358aa1ce5df855e5bd14a2279ab7202efe22f32a30d612dcb86aa"},
            by_hand=(
                f"its page is {_NYU_PAGE}; the server has refused connections for long times, and copies on "
                "data-sharing sites (kaggle.com, academictorrents.com) ask for a login or a client of their own"
            ),
        ),
        SourceFile(
            name="splits.mat",
            into="nyud_v2",
            urls=(
                f"https://{_NYU_SITE}/indoor_seg_sup/splits.mat",
                f"{_META}/splits.mat",
                f"http://{_NYU_SITE}/indoor_seg_sup/splits.mat",
            ),
            size=2_626,
            checksums={"sha256": "6e081404491a8bfba2f066beaa9713ef6046f9007aa5f799f2a350506a580cee"},
            by_hand=f"its page is {_NYU_PAGE}; also in github.com/ankurhanda/nyuv2-meta-data",
        ),
        SourceFile(
            name="classMapping40.mat",
            into="nyud_v2",
            urls=(
                f"{_META}/classMapping40.mat",
                "https://raw.githubusercontent.com/VainF/nyuv2-python-toolkit/master/classMapping40.mat",
            ),
            by_hand=(
                "it is also benchmarkData/metadata/classMapping40.mat of eccv14-data.tgz, about 900 MB, named in the "
                "README of github.com/s-gupta/rcnn-depth"
            ),
        ),
    ),
    terms=f"cite Silberman et al. (ECCV 2012); see {_NYU_PAGE}. The 40 classes are of Gupta et al. (CVPR 2013)",
    then="python -m data_prep nyud --source {out}/nyud_v2 --out {out}/nyud --jobs 2",
)

_NYUD_LISTS = {
    "train": (1_904, "8db94b4a9b33494c20319c6e79073aa7b842a683e6d263c3873d6ee95cebf759"),
    "val": (2_070, "cd278b1232fe5c2347994a9a3c13cd916aa2e72def51b9698993a2e8936797f5"),
    "test": (3_269, "f717536bdff71424f6f7cd0674cf6ac4381b2cffaaf942230b962a9f40671e7a"),
}
_NYUD_FCN = Source(
    name="nyud-fcn",
    title="NYUDv2 as the FCN release reads it, HHA included",
    files=(
        SourceFile(
            name="nyud.tar.gz",
            into="nyud",
            urls=("http://dl.caffe.berkeleyvision.org/nyud.tar.gz",),
            holds="segmentation",
            by_hand="without it, download nyud and make the same files with python -m data_prep nyud",
        ),
        *(
            SourceFile(f"{split}.txt", "nyud", (f"{_RELEASE}/nyud/{split}.txt",), size, {"sha256": digest})
            for split, (size, digest) in _NYUD_LISTS.items()
        ),
    ),
    terms=f"as of NYU Depth V2: cite Silberman et al. (ECCV 2012) and Gupta et al. (CVPR 2013); see {_NYU_PAGE}",
    then="python -m data_prep nyud --source {out}/nyud --out {out}/lmdb",
)

_SIFTFLOW_LISTS = {
    "trainval": (41_642, "4321de2b164556875661a66c64e6b5ebe1493a6e3dfa51d93700e3d17dbedfe7"),
    "test": (3_355, "d9d024d06b1ed2139b0e1bdbc78ede9897c3389cd588cd5c37268a931c1d36ae"),
}
_SIFTFLOW = Source(
    name="siftflow",
    title="SIFT Flow, semantic and geometric labels",
    files=(
        SourceFile(
            name="SiftFlowDataset.zip",
            into="sift-flow",
            urls=tuple(
                f"{scheme}://www.cs.unc.edu/~jtighe/Papers/ECCV10/siftflow/SiftFlowDataset.zip"
                for scheme in ("https", "http")
            ),
            holds="SemanticLabels",
            by_hand="its page was http://www.cs.unc.edu/~jtighe/Papers/ECCV10/; no other public address is known",
        ),
        *(
            SourceFile(f"{split}.txt", "sift-flow", (f"{_RELEASE}/sift-flow/{split}.txt",), size, {"sha256": digest})
            for split, (size, digest) in _SIFTFLOW_LISTS.items()
        ),
    ),
    terms="no terms are stated; cite Liu et al. (SIFT Flow) and Tighe and Lazebnik (ECCV 2010)",
    then="python -m data_prep siftflow --source {out} --out {out}/lmdb",
)

_CONTEXT = Source(
    name="pascalcontext",
    title="PASCAL-Context, labels for VOC 2010's images",
    files=(
        SourceFile(
            name="trainval.tar.gz",
            into="pascal-context",
            urls=(
                "https://roozbehm.info/pascal-context/trainval.tar.gz",
                "https://www.cs.stanford.edu/~roozbeh/pascal-context/trainval.tar.gz",
            ),
            holds="trainval",
            by_hand="its page was https://www.cs.stanford.edu/~roozbeh/pascal-context/, now roozbehm.info",
        ),
        SourceFile(name="classes-400.txt", into="pascal-context", urls=(f"{_RELEASE}/pascal-context/classes-400.txt",)),
        SourceFile(
            name="classes-59.txt",
            into="pascal-context",
            urls=(f"{_RELEASE}/pascal-context/classes-59.txt",),
            size=626,
            checksums={"sha256": "0a570a766be2aff841a7e9b2cb7f0ce8157bfa13ec4778276e352c7518132ed0"},
        ),
    ),
    terms="cite Mottaghi et al. (CVPR 2014). The images are PASCAL VOC's; " + _VOC_TERMS,
    needs=("voc2010",),
    then="python -m data_prep pascalcontext --source {out} --out {out}/lmdb",
)

DATASETS = (*(_voc(year) for year in _VOC_ARCHIVES), _SBD, _NYUD, _NYUD_FCN, _SIFTFLOW, _CONTEXT)
"""All datasets."""
