"""`params.yaml` to validated, frozen sections: one section a stage, unknown keys forbidden, types strict."""

import math
import re
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    ValidationError,
)
from pydantic_core import ErrorDetails, PydanticCustomError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from semisynth.errors import SemisynthError
from semisynth.recipes import NAMED

Positive = Annotated[int, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Range = Annotated[list[Probability], Field(min_length=2, max_length=2)]
ClassifierName = Literal["cnn", "lightgbm", "svm", "logistic"]
ArmName = Literal["classical", "synthetic", "pseudo", "synthetic+classical", "all"]
if TYPE_CHECKING:
    AdversarialName: TypeAlias = str
    RecipeName: TypeAlias = str
else:
    AdversarialName = Literal[tuple(NAMED)]
    RecipeName = Literal[AdversarialName, "vae", "cvae", "lstm"]
PrecisionName = Literal["auto", "float32", "bfloat16"]
AutoencoderName = Literal["undercomplete", "denoising", "linear"]
AnomalyKind = Literal["noise", "inverted", "shuffled", "blended", "letter"]


def _each_once(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise PydanticCustomError("repeated", "each name expected once")
    return names


ONCE = AfterValidator(_each_once)


class Section(BaseModel):
    """A mapping whose keys are all known and whose values keep their type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Download(Section):
    """Where the images come from."""

    dataset: Literal["mnist", "fashion-mnist", "digits", "own"]
    path: str | None = Field(description="own data: a folder of class folders, a folder of IDX files, or an NPZ")
    fallback: Literal["digits"] | None
    timeout: PositiveFloat = Field(description="seconds without a byte from a mirror")
    attempts: Positive = Field(description="tries at one mirror before the next")
    test_fraction: Fraction = Field(description="of images that come without a test set of their own")
    seed: Seed


class Split(Section):
    """How the training images are divided."""

    labelled: Positive = Field(description="labelled images, drawn evenly over the classes")
    validation: Fraction = Field(description="of the training images: reports, calibration")
    seed: Seed


class Lightgbm(Section):
    """Gradient-boosted trees; names as in LightGBM."""

    num_iterations: Positive
    learning_rate: PositiveFloat
    num_leaves: Annotated[int, Field(ge=2, le=131072)]
    min_data_in_leaf: Positive
    feature_fraction: Annotated[float, Field(gt=0, le=1)]
    max_bin: Annotated[int, Field(ge=2, le=65535)]


def _gamma(value: object) -> float | str:
    if value == "scale":
        return "scale"
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise PydanticCustomError("gamma", "expected a number above 0 or `scale`")
    return value


class Svm(Section):
    """A support vector machine with radial basis functions; names as in scikit-learn."""

    C: PositiveFloat
    gamma: Annotated[float | str, PlainValidator(_gamma)]
    max_images: Positive = Field(description="that it learns from: its time grows with their square")


class Logistic(Section):
    """Multinomial logistic regression; names as in scikit-learn."""

    C: PositiveFloat
    max_iter: Positive


NetworkName = Literal["normalised_cnn", "wide_cnn", "book_cnn"]


class Cnn(Section):
    """The convolutional network, and its budget of update steps."""

    network: NetworkName
    network_of_many: NetworkName
    many_labels: Positive = Field(description="labelled images from which on `network_of_many` is taken")
    max_steps: Positive
    max_passes: PositiveFloat = Field(description="over all training images of the data set, labelled or not")
    labelled_passes: PositiveFloat = Field(description="over the labelled images, where these are more steps")
    batch_size: Positive
    learning_rate: PositiveFloat
    precision: PrecisionName


class TrainBaseline(Section):
    """The classifiers and their budgets, the same on every arm."""

    seed: Seed
    folds: Annotated[int, Field(ge=2)] = Field(description="of the cross-validation on the labelled images")
    fold_images: Positive = Field(description="labelled images that cross-validation uses at most")
    fold_steps: Positive = Field(description="updates of the network in cross-validation, at most")
    cnn: Cnn
    lightgbm: Lightgbm
    svm: Svm
    logistic: Logistic


class Labeller(Section):
    """The network that labels the unlabelled images; beside recipes that draw no classes, also theirs."""

    max_steps: Positive = Field(description="rounded up to a multiple of 12")
    max_passes: PositiveFloat = Field(description="over all training images of the data set, labelled or not")
    batch_size: Annotated[int, Field(ge=2)]
    learning_rate: PositiveFloat
    even_classes: bool = Field(description="whether the unlabelled images hold each class about as often")
    confidence: Probability = Field(
        description="least probability of a label that semi_acgan's generator learns from"
    )


class RecipeParts(Section):
    """A named recipe with some parts exchanged; null leaves the part as it is."""

    base: AdversarialName
    conditioning: Literal["none", "auxiliary", "projection", "one_more_class"] | None = Field(
        None, description="how classes come in; a base without classes takes each"
    )
    loss: Literal["cross_entropy", "wasserstein"] | None = None
    gradient_penalty: NotNegative | None = Field(None, description="its weight; 0 for none")
    clip: NotNegative | None = Field(None, description="largest weight of the discriminator; 0 for none")
    real_targets: Range | None = Field(None, description="random targets of real images, from and to")
    fake_targets: Range | None = Field(None, description="the same of synthetic images")
    instance_noise: NotNegative | None = Field(None, description="deviation at first; it decays to 0")
    feature_matching: bool | None = None
    replay: Annotated[int, Field(ge=0)] | None = Field(None, description="synthetic images kept; 0 for none")
    normalisation: Literal["batch", "layer", "none"] | None = None
    minibatch_discrimination: bool | None = None
    optimizer: Literal["adam", "rmsprop", "nesterov"] | None = None
    generator_rate: PositiveFloat | None = None
    discriminator_rate: PositiveFloat | None = None
    class_weight: NotNegative | None = Field(None, description="of the generator's class loss")
    ensemble: Annotated[int, Field(ge=1, le=16)] | None = Field(None, description="trainings that are pooled")


BY_NAME, OF_PARTS = TAGS = "by_name", "of_parts"  # tell in an error's location which of the two was given
RecipeSetting = Annotated[
    Annotated[RecipeName, Tag(BY_NAME)] | Annotated[RecipeParts, Tag(OF_PARTS)],
    Discriminator(lambda value: OF_PARTS if isinstance(value, dict | RecipeParts) else BY_NAME),
]


class Vae(Section):
    """The networks of recipes `vae` and `cvae`."""

    latent_size: Annotated[int, Field(ge=1, le=65536)] = Field(
        description="2 for a picture of the plane, 16 to restore images better"
    )


class Lstm(Section):
    """The tokens of recipe `lstm`, and how it draws them."""

    codes: Annotated[int, Field(ge=2)] = Field(description="tokens that patches are quantised to, at most")
    patch: Positive = Field(description="side of a patch, in pixels")
    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(description="0 draws the likeliest")


class TrainSynthesizer(Section):
    """The generative model and its budget."""

    recipe: RecipeSetting
    seed: Seed
    max_steps: Positive
    max_passes: PositiveFloat = Field(description="over all training images of the data set, labelled or not")
    epochs: Positive = Field(description="parts of the budget, each ending in a checkpoint and a sample grid")
    batch_size: Annotated[int, Field(ge=2)] | None = Field(description="null takes the recipe's own")
    learning_rate: PositiveFloat | None = Field(description="null takes the recipe's own")
    ema_momentum: Annotated[float, Field(ge=0, lt=1)] = Field(description="of the averaged weights")
    labelled_copies: Positive = Field(description="labelled images with transformed copies, to learn classes from")
    labeller: Labeller
    vae: Vae
    lstm: Lstm
    precision: PrecisionName

    @property
    def recipe_source(self) -> str | dict[str, Any]:
        """The recipe's name, or the mapping of its base and the parts that were given."""
        return self.recipe if isinstance(self.recipe, str) else self.recipe.model_dump(exclude_none=True)


class Synthesize(Section):
    """How many images are drawn, and which are kept."""

    per_class: Positive = Field(description="at most; all classes together never more than the training images")
    candidates: Annotated[float, Field(ge=1, le=20)] = Field(
        description="drawn for each image that is kept; not where latents are stretched"
    )
    confidence: Probability = Field(
        description="least belief in the class asked for, of semi_acgan's labeller or the best baseline classifier"
    )
    given_confidence: Probability = Field(description="the same, where a labeller gave the label itself")
    widest: Annotated[float, Field(ge=1, le=10)] = Field(
        description="latents are stretched up to so many times where the recipe has a labeller of its own"
    )
    wide_confidence: Probability = Field(
        description="least belief of that labeller; an image below it is made again, its latent unstretched"
    )
    seed: Seed


class EvaluateSynthetic(Section):
    """The measuring classifier, and how many images are measured."""

    max_steps: Positive
    max_passes: PositiveFloat
    batch_size: Positive
    images: Annotated[int, Field(ge=2)] = Field(description="of each kind that are compared at most")
    seed: Seed


class Augment(Section):
    """The arms, and what goes into them."""

    arms: Annotated[list[ArmName], Field(min_length=1), ONCE]
    classical_images: Positive = Field(
        description="transformed copies, at most; never more than the training images"
    )
    pseudo_per_class: Positive = Field(description="pseudo-labelled images a class at most")
    pseudo_copies: Positive = Field(
        description="transformed copies of labelled and pseudo-labelled images, at most"
    )
    pseudo_confidence: Probability = Field(
        description="least probability of a label, by the best baseline classifier and the recipe's class head"
    )
    propagated_confidence: Probability = Field(
        description="the same, of one that a labeller propagated: few are wrong, and hard images teach most"
    )
    seed: Seed


class TrainAugmented(Section):
    """Which of the baseline's classifiers are trained again."""

    classifiers: Annotated[list[ClassifierName], Field(min_length=1), ONCE]


class FitDetector(Section):
    """The detectors of anomalies: how many images they learn from."""

    images: Annotated[int, Field(ge=100)] = Field(description="labelled and unlabelled ones at most")
    references: Positive = Field(description="images at most that neighbours and explanations are drawn from")
    generated: Positive = Field(description="images of the generator that are searched for the most similar one")
    autoencoder: AutoencoderName | None = Field(description="one more detector, trained on pixels; null for none")
    precision: PrecisionName
    seed: Seed


class ScoreAnomalies(Section):
    """The planted anomalies, and the job that scores them."""

    kinds: Annotated[list[AnomalyKind], Field(min_length=1), ONCE]
    per_kind: Annotated[int, Field(ge=2)]
    normal: Positive = Field(description="test images at most, among which the anomalies hide")
    alpha: Fraction = Field(description="false-alarm rate: share of normal images that may be called anomalies")
    seed: Seed


class Compare(Section):
    """The intervals of the table."""

    confidence_level: Fraction
    resamples: Annotated[int, Field(ge=100)]
    seed: Seed


class Params(Section):
    """The whole file: a section a stage."""

    download: Download
    split: Split
    train_baseline: TrainBaseline
    train_synthesizer: TrainSynthesizer
    synthesize: Synthesize
    evaluate_synthetic: EvaluateSynthetic
    augment: Augment
    train_augmented: TrainAugmented
    fit_detector: FitDetector
    score_anomalies: ScoreAnomalies
    compare: Compare


def load_params(path: Path) -> Params:
    """Read and validate the whole file at `path`, as YAML 1.2 (as DVC reads it).

    Raises SemisynthError with a line for each wrong key: where, what was expected, what was received.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SemisynthError(f"{path}: no such file; run from the project's folder, or pass --params") from None
    except UnicodeDecodeError as error:
        raise SemisynthError(f"{path}: expected UTF-8 text ({error})") from error
    try:
        tree = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError, RecursionError) as error:  # ValueError: a date that there is not
        raise SemisynthError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    return validated(Params, tree, str(path))


Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], tree: object, where: str) -> Model:
    """`tree` as a `model`; SemisynthError that begins with `where` and lists every wrong key."""
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        lines = [_explain(item, model) for item in error.errors()]
        raise SemisynthError(f"{where}: " + "; ".join(lines)) from error


def _explain(item: ErrorDetails, model: type[BaseModel]) -> str:
    location = ".".join(str(part) for part in item["loc"] if part not in TAGS) or "the file"
    if item["type"] == "extra_forbidden":
        known = _keys_beside(item["loc"], model)
        near = get_close_matches(str(item["loc"][-1]), known, 1)
        hint = f", did you mean `{near[0]}`?" if near else f", known keys: {', '.join(known)}"
        return f"`{location}` is an unknown key{hint}"
    if item["type"] == "missing":
        return f"`{location}` is missing"
    expected = re.findall(r"'([^']+)'", item["ctx"]["expected"]) if item["type"] == "literal_error" else []
    near = get_close_matches(str(item["input"]), expected, 1)
    hint = f", did you mean `{near[0]}`?" if near else ""
    if location == "train_synthesizer.recipe" and item["input"] == "autoencoder":
        hint = "; it draws no images: it is a detector, see `fit_detector.autoencoder`"
    return f"`{location}`: {item['msg'][:1].lower()}{item['msg'][1:]}, received {_shown(item['input'])}{hint}"


def _keys_beside(location: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    current: Any = model
    for part in location[:-1]:
        current = RecipeParts if part == OF_PARTS else current.model_fields[part].annotation
    return list(current.model_fields)


def _shown(value: object) -> str:
    text = repr(value)
    return f"{text if len(text) < 80 else text[:77] + '...'} ({type(value).__name__})"
