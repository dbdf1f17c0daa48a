"""What counts when a dataset's nets are scored, and scoring all tasks of a net in one pass.

    net = Net("test.prototxt", weights, TEST, keep=["score_sem", "sem", "score_geo", "geo"])
    scores = evaluate(net, lookup("siftflow-fcn8s"), read_list(Path("test.txt")))
    print(scores["semantic"].table(EVALUATIONS["siftflow"].class_names["semantic"]))

Source: the paper, section 5; shelhamer/fcn.berkeleyvision.org data/*/classes*.txt for names and what is left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tqdm import tqdm

from caffe_compat.errors import DataError, NetError
from caffe_compat.net.net import Net
from data_prep.labels import VOC_CLASSES
from data_prep.siftflow import GEOMETRIC_NAMES, SEMANTIC_NAMES, UNANNOTATED
from nets.catalogue import Model
from solvers.metrics import Scores, confusion_matrix
from solvers.score import labels_and_predictions

__all__ = ["EVALUATIONS", "Evaluation", "evaluate"]

_NYUD = (
    "wall,floor,cabinet,bed,chair,sofa,table,door,window,bookshelf,picture,counter,blinds,desk,shelves,curtain,dresser,"
    "pillow,mirror,floor mat,clothes,ceiling,books,refridgerator,television,paper,towel,shower curtain,box,whiteboard,"
    "person,night stand,toilet,sink,lamp,bathtub,bag,otherstructure,otherfurniture,otherprop"
)
_CONTEXT = (
    "background,aeroplane,bicycle,bird,boat,bottle,bus,car,cat,chair,cow,table,dog,horse,motorbike,person,pottedplant,"
    "sheep,sofa,train,tvmonitor,bag,bed,bench,book,building,cabinet,ceiling,cloth,computer,cup,door,fence,floor,flower,"
    "food,grass,ground,keyboard,light,mountain,mouse,curtain,platform,sign,plate,road,rock,shelves,sidewalk,sky,snow,"
    "bedclothes,track,tree,truck,wall,water,window,wood"
)


@dataclass(frozen=True)
class Evaluation:
    """How a dataset is scored.

    Args:
        class_names: by task, in label order.
        absent: by task, classes that the test split does not have; their pixels do not count.
        left_out: ids of images that do not count.
    """

    class_names: Mapping[str, tuple[str, ...]]
    absent: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()

    def absent_labels(self, task: str) -> list[int]:
        """Label numbers of the classes that are left out."""
        return [self.class_names[task].index(name) for name in self.absent.get(task, ())]


EVALUATIONS: dict[str, Evaluation] = {
    "voc": Evaluation({"": VOC_CLASSES}),
    "nyud": Evaluation({"": tuple(_NYUD.split(","))}),
    "siftflow": Evaluation(
        {"semantic": SEMANTIC_NAMES, "geometric": GEOMETRIC_NAMES},
        absent={"semantic": ("cow", "desert", "moon")},
        left_out=frozenset(UNANNOTATED),
    ),
    "pascalcontext": Evaluation({"": tuple(_CONTEXT.split(","))}),
}
"""By dataset, as in nets.catalogue. SIFT Flow's images without labels are in neither of its released lists, but may be
in another."""


def evaluate(net: Net, model: Model, ids: Sequence[str], *, progress: bool = True) -> dict[str, Scores]:
    """Run a net over a split once and score all its tasks, by the rules of its dataset.

    Args:
        net: its data layer gives the images of ``ids`` in their order, one per pass, from its present position on; a
            lean net keeps every task's score, label and loss.
        model: whose net it is.
        ids: the split.
        progress: show a bar on stderr.

    Returns:
        Scores by the task's name; that of a net with one task is empty. Losses are means per counted image.

    Raises:
        NetError: the net lacks a blob, or gives several images per pass.
        DataError: no image is left to score.
    """
    rules = EVALUATIONS[model.dataset]
    needed = [name for task in model.tasks for name in (task.score, task.label)]
    missing = [name for name in needed if name not in net.blobs]
    if missing:
        raise NetError(f"evaluate: the net has no blob {', '.join(missing)}; {model.name} is scored by these")
    counted = [image_id for image_id in ids if image_id not in rules.left_out]
    if not counted:
        raise DataError(f"evaluate: {len(ids)} images given and none left to score; give the ids of a split")
    totals: dict[str, Scores] = {}
    for image_id in tqdm(ids, desc="score", unit="image", disable=not progress):
        net.forward()
        if image_id in rules.left_out:
            continue
        for task in model.tasks:
            truth, predicted, classes = labels_and_predictions(net, task.score, task.label)
            if len(truth) != 1:
                raise NetError(f"evaluate: the net gives {len(truth)} images per pass; give it a batch size of 1")
            loss = float(net.blobs[task.loss].tensor().sum()) if task.loss in net.blobs else None
            one = Scores(confusion_matrix(truth, predicted, classes), 1, loss)
            totals[task.name] = totals[task.name] + one if task.name in totals else one
    return {task.name: totals[task.name].without(rules.absent_labels(task.name)) for task in model.tasks}
