"""Every key of an experiment: its type, bounds, default and meaning.

The text below each field is its documentation: ``musket schema`` hands it to editors. Models are frozen and refuse
unknown keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from musket.config import legacy
from musket.config.image_values import CacheValue, CropsValue, NormalizeValue
from musket.config.tree import Place
from musket.config.values import (
    Activation,
    Batch,
    Call,
    Classes,
    ClassWeights,
    Confidence,
    Count,
    CountPerHead,
    Dataset,
    Datasets,
    Decay,
    Declared,
    FinalMetric,
    FinalMetrics,
    Flag,
    FreeMap,
    Level,
    Mode,
    Names,
    Negatives,
    Network,
    Part,
    Parts,
    Portion,
    Portions,
    Positive,
    Rate,
    RealShare,
    Sampler,
    Scale,
    Seed,
    Several,
    Shape,
    Share,
    Side,
    Sizes,
    StageSampler,
    Steps,
    Text,
    TextPerHead,
    Views,
    Weights,
    show,
)
from musket.core.cells import cell_shape
from musket.core.errors import Problem

__all__ = [
    "AVAILABLE_DIALECTS",
    "DIALECTS",
    "DIALECT_ALIASES",
    "NOT_YET",
    "Call",
    "ClassificationSpec",
    "Declared",
    "ExperimentSpec",
    "FinalMetric",
    "GenericSpec",
    "ImageSpec",
    "InstanceSpec",
    "NetworkSpec",
    "Part",
    "Portions",
    "SegmentationSpec",
    "StageSpec",
]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class StageSpec(_Model):
    """One stage of training. What it leaves out it takes from the root of the config."""

    epochs: Count = Field(examples=[10])
    """Epochs of this stage in all."""
    lr: Rate | None = None
    """Learning rate of this stage, with a fresh optimizer. Default: the root's; later stages keep what they have."""
    loss: TextPerHead | None = None
    """Loss of this stage, with a fresh optimizer. Default: the root's."""
    callbacks: Parts | None = None
    """Callbacks of this stage INSTEAD of the root's. Default: the root's."""
    extra_callbacks: Parts = ()
    """Callbacks of this stage in addition. Default: none."""
    initial_weights: Text | None = None
    """File of weights to start this stage from, in place of the best weights of the stage before."""
    sampler: StageSampler | None = None
    """What an epoch of this stage draws its training samples by; none: every sample once. Default: the root's."""
    negatives: Negatives = "real"
    """Items without an object in the training part: none, real (all of them), or a number per positive item."""
    validation_negatives: Negatives | None = None
    """The same for the validation part. Default: the value of negatives."""
    freeze_encoder: Flag | None = None
    """Freeze the encoder for this stage. Default: as it is."""
    unfreeze_encoder: Flag | None = None
    """true: make all layers trainable at the start of this stage; false: freeze the encoder. Default: as it is."""
    logAll: Flag = False
    """Also write the logs of every batch, to metrics-F.S.csvall.csv."""


class ExperimentSpec(_Model):
    """Keys of every kind of experiment."""

    dialect: ClassVar[str] = ""

    batch: Batch = 16
    """Training batch size, in items. Default 16."""
    optimizer: Text = "Adam"
    """Optimizer by name. Default Adam."""
    lr: Rate | None = None
    """Learning rate. Default: the optimizer's own (Adam 0.001, SGD 0.01 ...)."""
    clipnorm: Positive | None = None
    """Clip gradients by their global norm. Default: off."""
    clipvalue: Positive | None = None
    """Clip every element of the gradients to [-clipvalue, clipvalue]. Default: off."""
    metrics: Names = ()
    """Metrics computed after every epoch, on the training and (with the prefix val_) the validation part."""
    primary_metric: Text = "val_binary_accuracy"
    """The logged value that decides which epoch is the best. Default val_binary_accuracy if logged, else val_loss."""
    primary_metric_mode: Mode = "auto"
    """Whether lower (min) or higher (max) is better. Default auto: known for every built-in metric."""
    final_metrics: FinalMetrics = ()
    """Metrics computed on stored predictions after training."""
    experiment_result: Text | None = None
    """The figure of the summary an experiment is judged by. Default: the primary metric."""
    callbacks: Parts = ()
    """Callbacks of every stage, by name, in the order they run."""
    stages: tuple[StageSpec, ...] = Field(min_length=1, max_length=1000, examples=[[{"epochs": 10}]])
    """Stages of training, one after the other; each starts from the best weights of the one before."""
    random_state: Seed = 33
    """Seed of the fold split, and of everything drawn in training. Default 33."""
    verbose: Level = 1
    """How much is printed while training: 0 nothing, 1 progress, 2 one line per epoch. Default 1."""
    gpus: Several = 1
    """Devices per network (data parallel); they share every batch equally. Default 1."""
    num_seeds: Several | None = None
    """Run the whole experiment this many times with different seeds. Default: once."""
    hyperparameters: FreeMap = {}
    """Values to search: name: [min, max], {range: [min, max], type: integer}, or {enum: [...]}."""
    max_evals: Count = 200
    """Trials of a hyperparameter search. Default 200."""
    imports: Names = ()
    """Python modules whose functions and classes can be named here. Those in modules/ of the project always can."""
    dumpPredictionsToCSV: Flag = False
    """Write validation and holdout predictions as tables after training."""
    testTimeAugmentation: Views | None = None
    """Average predictions over views: Horizontal, Horizontal_and_vertical, or all eight. Default: the plain view."""
    inference_batch: Batch = 32
    """Batch size for prediction and evaluation, in items. Default 32."""
    weight_decay: Decay | None = None
    """Decay of the weights in every step of the optimizer; biases and normalisations are left alone. Default: the
    optimizer's own (AdamW 0.01, others none)."""
    layer_decay: Portion | None = None
    """Learning rate of each layer of the encoder as a share of that of the layer behind it (arXiv:2106.08254; 0.65 to
    0.9 for fine tuning). Default: one rate for all."""
    accumulate: Several = 1
    """Batches for one step of the optimizer, down the mean of their gradients. Schedules go on counting batches.
    Default 1."""
    ema: RealShare | None = None
    """Judge and keep a running mean of the weights: the share of the old mean that stays in every step (0.99 to
    0.9999; less in the first steps of a stage). Default: the weights themselves."""
    maxEpochSize: Steps | None = None
    """At most this many training batches per epoch. Default: all."""
    noTrain: Flag = False
    """Train on nothing: evaluate initial weights."""
    separatePredictions: Flag = True
    """Predict with each fold and stage separately, then average. Default true."""

    dataset: Dataset | None = None
    """The data: function: arguments, an entry of datasets by name, or separate train, validation and holdout."""
    datasets: Datasets = {}
    """Named datasets, for dataset, extra_train_data, prediction and tasks."""
    folds_count: Several = 5
    """Folds of cross-validation; 1 is a single split by validationSplit. Default 5."""
    validationSplit: RealShare = 0.2
    """Share of the data left after the holdout that becomes validation when folds_count is 1. Default 0.2."""
    testSplit: Share = 0.0
    """Share of the data cut off as holdout before folding. Default 0: none."""
    testSplitSeed: Seed = 123
    """Seed of the holdout cut. Default 123."""
    stratified: Flag = False
    """Keep the shares of classes alike in holdout and folds."""
    groupFunc: Text | None = None
    """Function of the project: dataset -> class of every item, for stratified splits."""
    extra_train_data: Dataset | None = None
    """More training items, added to the training part of every fold."""
    dataset_augmenter: FreeMap | None = None
    """Function (name) with its arguments that wraps the folded dataset."""
    preprocessing: Any = None
    """Chain of dataset preprocessors: the name of a declaration, or a list of steps."""
    pretrain_transform: Text | None = None
    """Function of the project, applied to the training data after the holdout cut and before folding."""
    declarations: FreeMap = {}
    """Blocks of layers or preprocessors, by name."""
    tasks: FreeMap = {}
    """Settings of the project's tasks, by name."""
    cache: CacheValue = True
    """Keep decoded images and masks on disk, so that every file is decoded once: true, false, or the folder to keep
    them in. Default true, in .cache of the project or the user's cache folder."""
    datasets_path: Text | None = None
    """Working directory while datasets are made. Default: data/ of the project, if there is one."""

    _source: Path = PrivateAttr(default=Path("<text>"))
    _notices: tuple[Problem, ...] = PrivateAttr(default=())
    _places: Mapping[str, Place] = PrivateAttr(default_factory=lambda: MappingProxyType({}))
    _overrides: tuple[str, ...] = PrivateAttr(default=())

    @property
    def source(self) -> Path:
        """The file this spec was read from."""
        return self._source

    @property
    def notices(self) -> tuple[Problem, ...]:
        """What was read otherwise than written (old spellings, keys without meaning)."""
        return self._notices

    @property
    def overrides(self) -> tuple[str, ...]:
        """``key=value`` texts that were put in place of what the file says."""
        return self._overrides

    def place(self, key: str) -> Place:
        """Where a key (``lr``, ``stages[1].lr``) stands in the file; line 0 when it is not written there."""
        return self._places.get(key, Place())

    def dump(self) -> dict[str, Any]:
        """Canonical plain data: every key in effect with its value, less what is empty or off by default.

        Reading it back gives the same spec.
        """
        data = _shown(self, legacy.without_meaning(self.dialect))
        options = data.pop("architecture_options", {})
        stages = [_shown(stage, legacy.without_meaning(self.dialect, in_stages=True)) for stage in self.stages]
        return {**data, "stages": stages, **options}

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, ExperimentSpec) and self.dump() == other.dump()

    __hash__ = None  # type: ignore[assignment]


def _shown(model: BaseModel, hidden: set[str]) -> dict[str, Any]:
    """Fields as plain data, less hidden ones and those that are empty by default and still are."""
    shown: dict[str, Any] = {}
    for name, info in type(model).model_fields.items():
        value = getattr(model, name)
        default = info.get_default(call_default_factory=True)
        if name not in hidden and (value != default or default not in (None, "", (), {})):
            shown[name] = show(value)
    return shown


class ImageSpec(ExperimentSpec):
    """Keys of the two image pipelines."""

    augmentation: Parts = ()
    """Augmenters by name, applied in this order to training items only."""
    transforms: Parts = ()
    """Augmenters by name, applied to training, validation and prediction alike."""
    crops: CropsValue | None = None
    """n: cut every image and mask into n x n cells, each seen at shape / n; predictions are put together again.
    {cells: n, overlap: 0.2, blend: linear} lets cells overlap by a share of their side. Default: whole images."""
    normalize: NormalizeValue | None = None
    """Mean and deviation of the inputs scaled to 0..1: {mean: [...], std: [...]}, or false for none. Default: those the
    encoder was trained with."""
    manualResize: Flag = False
    """true: nothing is resized, neither inputs nor predictions."""
    copyWeights: Flag = False
    """Pretrained encoder with more than three channels: the extra ones start as copies of the third, not as 0."""
    freeze_encoder: Flag = False
    """Start with a frozen encoder (pretrained part of the network)."""
    unfreeze_encoder: Flag | None = None
    """true: train all layers. Meant for stages; allowed here."""
    showDataExamples: Flag = False
    """Draw augmented training samples after every epoch too."""


class NetworkSpec(ImageSpec):
    """Keys of segmentation and classification: one network, and what its outputs mean."""

    gives_maps: ClassVar[bool] = True
    """Whether predictions are maps H x W x classes, or vectors."""

    shape: Shape = (256, 256, 3)
    """Network input [height, width, channels], in pixels; images and masks are resized to it. Default [256, 256, 3]."""
    architecture: Text
    """Network by name."""
    classes: CountPerHead
    """Number of classes; a list makes one output per entry."""
    activation: Activation = ""
    """Last layer: sigmoid, softmax, none ..., or one per output. Default: sigmoid for one class, else softmax."""
    loss: TextPerHead | None = None
    """Loss by name, a weighted sum such as a+0.1*b, or one per output. Needed unless every stage has its own."""
    class_weights: ClassWeights | None = None
    """How much each class counts in cross-entropies: a number per class (a list of them per output), or balanced: the
    rarer a class is in the training part, the more it counts. Default: all alike."""
    label_smoothing: Share = 0.0
    """Train on targets moved by this share towards not knowing (arXiv:1512.00567): every class alike of a softmax
    output, 1/2 of a sigmoid one. Default 0."""
    mixup: Positive | None = None
    """Train on mixtures of two images and their targets (arXiv:1710.09412); the shares are drawn from
    Beta(mixup, mixup), 0.2 as a rule. Default: off."""
    cutmix: Positive | None = None
    """Train on images with a window of another one (arXiv:1905.04899), its area drawn from Beta(cutmix, cutmix), 1 as a
    rule; masks get its mask, vectors are mixed by area. With mixup beside it either is used for half of the batches.
    Default: off."""
    sampler: Sampler | None = None
    """What an epoch draws its training samples by: balanced (all classes alike), sqrt (halfway to it) or weighted (the
    dataset's sample_weight). Default: every sample once."""
    architecture_options: dict[str, Any] = {}
    """Options of the architecture. Not a key: they stand at the root of the file."""

    @property
    def input_size(self) -> tuple[int, int] | None:
        """Height and width of what the network sees: shape, or that of a cell; None with manualResize."""
        cells = 1 if self.crops is None else self.crops.cells
        return None if self.manualResize else cell_shape(*self.shape[:2], cells)

    @property
    def head_sizes(self) -> tuple[int, ...]:
        """Classes of each output; none in a config that gives no classes, which is refused."""
        return (self.classes,) if isinstance(self.classes, int) else tuple(self.classes or ())

    @property
    def head_activations(self) -> tuple[str, ...]:
        """Activation of each output."""
        count = len(self.head_sizes)
        return (self.activation,) * count if isinstance(self.activation, str) else tuple(self.activation)

    @property
    def named_heads(self) -> tuple[str, ...]:
        """A name for every output: its number."""
        return tuple(map(str, range(len(self.head_sizes))))

    @property
    def output_channels(self) -> int:
        """Channels of masks, length of vectors: the classes of all outputs, side by side."""
        return sum(self.head_sizes)


class SegmentationSpec(NetworkSpec):
    """A segmentation experiment: one mask channel per class."""

    dialect: ClassVar[str] = "Segmentation"

    backbone: Text | None = None
    """Encoder by name (resnet34, mobilenet_v2, tu-... for any timm model). Needed by every built-in architecture."""
    architecture: Text = Field(examples=["Unet"])
    """Decoder by name: Unet, FPN, Linknet, PSPNet, DeepLabV3 ... (all: musket ls architectures)."""
    classes: CountPerHead = Field(examples=[1])
    """Number of mask channels; a list makes one output per entry, and masks have the channels of all side by side."""
    encoder_weights: Weights = "imagenet"
    """Pretrained weights of the encoder; null starts from random ones. Default imagenet."""
    compressPredictionsAsInts: Flag = True
    """Store mask predictions as whole numbers of 8 bits instead of floats. Default true."""
    compressScale: Scale | None = None
    """What a prediction of 1.0 is stored as. Default 255."""
    import_tasks: Names = ()
    """Old per-image tasks: Python files beside the config."""
    run_tasks: tuple[FreeMap, ...] = ()
    """Old per-image tasks: {tasks: [function], dataset, fold, stage, parameters}."""


class ClassificationSpec(NetworkSpec):
    """A classification or regression experiment: one vector, or one per head."""

    dialect: ClassVar[str] = "Classification"
    gives_maps: ClassVar[bool] = False

    architecture: Text = Field(examples=["resnet34"])
    """Network by name (any timm model; all: musket ls networks)."""
    classes: CountPerHead = Field(examples=[2])
    """Number of classes; a list makes one head per entry."""
    head_names: Names = ()
    """What the heads are called in logs and tables, one name each. Default: their numbers, from 0."""
    weights: Weights = "imagenet"
    """Pretrained weights of the network; null starts from random ones. Default imagenet."""
    pooling: Literal["avg", "max"] | None = None
    """How the last feature map becomes a vector. Default: the network's own way, mostly avg."""
    dropout: Share = 0.0
    """Dropout before each final layer. Default 0."""

    @property
    def named_heads(self) -> tuple[str, ...]:
        """A name for every head: that of ``head_names``, else its number."""
        return self.head_names or super().named_heads


class GenericSpec(ExperimentSpec):
    """An experiment whose network is declared in the config."""

    dialect: ClassVar[str] = "Generic"

    architecture: Network = Field(examples=["net"])
    """Name of a declaration, or the steps themselves."""
    loss: TextPerHead | None = None
    """Loss by name, a weighted sum such as a+0.1*b, or one per output. Needed unless every stage has its own."""
    classes: CountPerHead | None = None
    """No effect: the network is declared."""
    activation: TextPerHead | None = None
    """No effect: the network is declared."""
    shape: tuple[Side, ...] | None = None
    """No effect: shapes are taken from the first item."""


class InstanceSpec(ImageSpec):
    """An instance segmentation experiment: boxes, classes and masks of objects."""

    dialect: ClassVar[str] = "InstanceSegmentation"

    configPath: Text = Field(examples=["mask_rcnn_r50_fpn_1x_coco.py"])
    """MMDetection config, absolute or relative to the folder of this file."""
    weightsPath: Text | None = None
    """Initial weights: a path, a URL, or open-mmlab://name. Default: none."""
    resetHeads: Flag = True
    """Leave box and mask heads out of the initial weights. Default true."""
    imagesPerGpu: Batch | None = None
    """Images per device and step. Default: the config's."""
    classes: Classes = Field(examples=[1])
    """Number of foreground classes."""
    shape: Sizes = Field(examples=[[512, 512]])
    """Network input [height, width], in pixels, or several of them to train on."""
    multiscaleMode: Literal["value", "range"] = "value"
    """With several shapes: train on one of them (value) or on sizes between two (range). Default value."""
    threshold: Confidence = 0.5
    """Least confidence of objects in pictures. Default 0.5."""
    storage_threshold: Confidence = 0.1
    """Least confidence of objects that are stored. Default 0.1."""
    dropSemanticHead: Flag | None = None
    """No effect: the semantic branch is always left out."""
    folds_count: Several = 1
    """Folds of cross-validation; 1 is a single split by validationSplit. Default 1."""
    resume: Flag = False
    """Go on where an interrupted run stopped."""
    architecture: Text | None = None
    """No effect: the MMDetection config decides."""
    loss: Text | None = None
    """No effect: the MMDetection config decides."""
    activation: Text | None = None
    """No effect: the MMDetection config decides."""


DIALECTS: dict[str, type[ExperimentSpec]] = {
    model.dialect: model for model in (SegmentationSpec, ClassificationSpec, GenericSpec, InstanceSpec)
}
DIALECT_ALIASES = {"mmdetection": "InstanceSegmentation", "gradientboosting": "Generic"}

# Keys whose behaviour is not there yet, with what they would do; a path may name an entry (dataset.train). A key at its
# default is no problem. Delete the line when the feature lands.
NOT_YET: dict[str, str] = {
    "declarations": "declared blocks",
}
# Dialects that can be trained. The others are checked only.
AVAILABLE_DIALECTS = frozenset({"Segmentation", "Classification"})
