"""What every method is, in words and numbers, and where its code stands; standard library only.

An entry here is a method's registration: `study` takes names, hyperparameters and their limits from it, `registry`
makes the method, and `wsml-study methods` explains it. p = sigmoid(logit), B images, C classes; U are the unobserved
entries of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from wsml_study.errors import MethodError

Value = bool | int | float | str

DATASETS = MappingProxyType(
    {"voc2012": "VOC 2012", "coco2014": "COCO 2014", "nuswide": "NUS-WIDE", "cub": "CUB", "openimages_v3": "OpenImages"}
)
"""Datasets that papers give numbers for, and what to call them in a table."""

PUBLISHED_BY = "Kim et al., CVPR 2022 (arXiv 2206.03740)"
"""Whose table `published_map` is: test mAP in percent, end to end and after a linear start (LinearInit)."""

SAME_DEFAULTS = MappingProxyType({"voc2007": "voc2012", "coco2017": "coco2014"})
"""Datasets that take another's defaults: the same classes, photographed alike."""

VARIANTS = MappingProxyType(
    {
        "code": "rate of all B*C entries; every loss that reaches the k-th largest (snucml/LargeLossMatters)",
        "paper": "rate of U; strictly above the (k+1)-th largest",
        "unobserved": "rate of U; every loss that reaches the k-th largest (michalwols/yann)",
        "mlcpl": "rate of U, rounded, at least 1; strictly above the k-th largest (maxium0526/mlcpl)",
        "per_image": "rate of the C classes, within each image (LargeLossMattersMask)",
        "kept": "as code, but LL-R's mean divides by what is kept (in the manner of HCPLab-SYSU/HCP-MLR-PL)",
    }
)
"""Variants of the large-loss methods by name."""


@dataclass(frozen=True, kw_only=True)
class Hyperparameter:
    """A key of a study file's section `method`, as one method takes it.

    Attributes:
        key: its name there.
        symbol: its name in the paper.
        meaning: what it is, without a full stop.
        default: the value where the dataset has none of its own; None where it has to be given, or is computed.
        by_dataset: the paper's values for its datasets, where they differ.
        computed: how the default is computed, where it is; empty elsewhere.
        search: a search entry worth trying, as YAML; empty where there is nothing to search.
    """

    key: str
    symbol: str
    meaning: str
    default: Value | None = None
    by_dataset: Mapping[str, Value] = field(default_factory=dict)
    computed: str = ""
    search: str = ""

    def default_for(self, dataset: str | None) -> Value | None:
        """The default for a dataset; None where it has to be given, or is computed."""
        name = SAME_DEFAULTS.get(dataset or "", dataset or "")
        return self.by_dataset.get(name, self.default)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a key may be, whichever method takes it.

    Attributes:
        least: the smallest value.
        most: the largest value, or None.
        whole: whole numbers only.
        choices: the values it is one of; empty for a number.
        without_most: the largest value itself is not allowed.
    """

    least: float = 0.0
    most: float | None = None
    whole: bool = False
    choices: tuple[str, ...] = ()
    without_most: bool = False

    def __str__(self) -> str:
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        kind = "a whole number" if self.whole else "a number"
        if self.most is None:
            return f"{kind} of at least {self.least:g}"
        return f"{kind} from {self.least:g} to {'below ' if self.without_most else ''}{self.most:g}"

    def allow(self, value: object) -> bool:
        """Whether the value is within the limits."""
        if self.choices:
            return value in self.choices
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        below = self.most is None or (value < self.most if self.without_most else value <= self.most)
        return value >= self.least and below


_FRACTION = Limits(most=1)
_AT_LEAST_0 = Limits()
_ANY = Limits(least=-100, most=100)

LIMITS: Mapping[str, Limits] = MappingProxyType(
    {
        "variant": Limits(choices=tuple(VARIANTS)),
        "negative_weight": _AT_LEAST_0,
        "smoothing": Limits(most=0.5),
        "expected_positives": _AT_LEAST_0,
        "estimate_learning_rate_multiplier": _AT_LEAST_0,
        "gamma": _AT_LEAST_0,
        "gamma_positive": _AT_LEAST_0,
        "gamma_negative": _AT_LEAST_0,
        "gamma_unobserved": _AT_LEAST_0,
        "probability_margin": Limits(most=1, without_most=True),
        "logit_margin": _AT_LEAST_0,
        "hill_lambda": Limits(least=1),
        "positive_threshold": _FRACTION,
        "warmup_epochs": Limits(whole=True),
        "entropy_weight": _AT_LEAST_0,
        "pseudo_label_weight": _AT_LEAST_0,
        "pseudo_label_share": _FRACTION,
        "gr_w_first": _ANY,
        "gr_w_last": _ANY,
        "gr_b_first": _ANY,
        "gr_b_last": _ANY,
        "gr_mu_first": _ANY,
        "gr_mu_last": _ANY,
        "gr_sigma_first": Limits(least=1e-3),
        "gr_sigma_last": Limits(least=1e-3),
        "gr_q2": _FRACTION,
        "gr_q3": _FRACTION,
        "likely_per_image": Limits(whole=True),
        "prior_threshold": _FRACTION,
        "reduction": Limits(choices=("sum", "mean")),
    }
)
"""Every key that some method takes."""


@dataclass(frozen=True, kw_only=True)
class MethodDescription:
    """One way to treat unobserved labels.

    Attributes:
        name: as papers and study files have it.
        title: what it does, in a line.
        formula: the loss, in as many lines as it needs.
        reduction: what becomes of the losses of the entries: `mean` or `sum`.
        source: paper and public code.
        implementation: module below `wsml_study.methods`, and class, as `module:Class`.
        hyperparameters: what it takes beside a schedule.
        takes_schedule: whether it has a rejection rate.
        rate_by_dataset: the paper's growth of the rate per epoch, a fraction, where it takes a schedule.
        learns_from_truth: it sees every true label.
        needs_observed_negatives: it learns nothing from labels without any.
        published_map: mAP in percent by dataset, trained end to end and after a linear start (LinearInit).
    """

    name: str
    title: str
    formula: str
    reduction: str
    source: str
    implementation: str
    hyperparameters: tuple[Hyperparameter, ...] = ()
    takes_schedule: bool = False
    rate_by_dataset: Mapping[str, float] = field(default_factory=dict)
    learns_from_truth: bool = False
    needs_observed_negatives: bool = False
    published_map: Mapping[str, tuple[float, float | None]] = field(default_factory=dict)

    def hyperparameter(self, key: str) -> Hyperparameter | None:
        """What the method makes of a key, or None if it does not take it."""
        return next((one for one in self.hyperparameters if one.key == key), None)


@dataclass(frozen=True, kw_only=True)
class HeadDescription:
    """One way from feature maps to logits, which goes with any method: `model.head`."""

    name: str
    title: str
    formula: str
    source: str


def describe(name: str) -> MethodDescription:
    """The description of a method.

    Raises:
        MethodError: there is no such method.
    """
    if name not in METHODS:
        raise MethodError(f"expected a method among {', '.join(METHODS)}, got {name!r}")
    return METHODS[name]


def takers(key: str) -> tuple[str, ...]:
    """Names of the methods that take a key of the section `method`."""
    if key == "schedule":
        return tuple(name for name, description in METHODS.items() if description.takes_schedule)
    return tuple(name for name, description in METHODS.items() if description.hyperparameter(key) is not None)


def explain_key(key: str) -> str:
    """What the methods that take a key make of it, and their general defaults.

    >>> explain_key("gamma_unobserved")
    'CSL: focus of unobserved labels: the larger, the less easy ones count (default 2).'
    """
    by_meaning: dict[str, list[str]] = {}
    for name in takers(key):
        one = METHODS[name].hyperparameter(key)
        assert one is not None
        by_meaning.setdefault(f"{one.meaning}{_default_in_words(one)}", []).append(name)
    return "; ".join(f"{', '.join(names)}: {meaning}" for meaning, names in by_meaning.items()) + "."


def _default_in_words(one: Hyperparameter) -> str:
    if one.by_dataset:
        return " (default by dataset)"
    default = one.computed or one.default
    return f" (default {default:g})" if isinstance(default, float) else f" (default {default})"


def missing_hyperparameters(name: str, *, dataset: str | None, given: Mapping[str, Value | None]) -> list[str]:
    """Keys that a method needs, that are not given, and that have no default for this dataset."""
    return [
        one.key
        for one in describe(name).hyperparameters
        if given.get(one.key) is None and not one.computed and one.default_for(dataset) is None
    ]


def hyperparameters(name: str, *, dataset: str | None, given: Mapping[str, Value | None]) -> dict[str, Value | None]:
    """Every hyperparameter of a method: what is given, and the defaults for the dataset where nothing is.

    >>> hyperparameters("EM", dataset="cub", given={}), hyperparameters("EM", dataset=None, given={"entropy_weight": 1})
    ({'entropy_weight': 0.01}, {'entropy_weight': 1})

    Args:
        name: the method.
        dataset: as in a study file; None, or one that no paper knows, takes the general defaults.
        given: keys and values; None counts as not given.

    Returns:
        Every key that the method takes; None for a default that is computed.

    Raises:
        ValueError: an unknown method, a key that it does not take, a value out of limits, or one that is missing.
    """
    description = describe(name)
    given = {key: value for key, value in given.items() if value is not None}
    for key, value in given.items():
        if description.hyperparameter(key) is None:
            known = ", ".join(one.key for one in description.hyperparameters) or "no hyperparameters"
            raise ValueError(f"method {name} takes {known}; got {key}")
        if not LIMITS[key].allow(value):
            raise ValueError(f"{key}: expected {LIMITS[key]}, got {value}")
    if missing := missing_hyperparameters(name, dataset=dataset, given=given):
        place = f"dataset {dataset}" if dataset else "no dataset"
        raise ValueError(f"method {name} needs {', '.join(missing)}, which has no default for {place}")
    return {one.key: given.get(one.key, one.default_for(dataset)) for one in description.hyperparameters}


_COLE = (
    'Cole et al., "Multi-Label Learning from Single Positive Labels", CVPR 2021; elijahcole/single-positive-multi-label'
)
_KIM = (
    'Kim, Kim, Akata, Lee, "Large Loss Matters in Weakly Supervised Multi-Label Classification", CVPR 2022; '
    "snucml/LargeLossMatters"
)
_ZHANG = (
    'Zhang et al., "Simple and Robust Loss Design for Multi-Label Learning with Missing Labels", 2021 '
    "(arXiv 2112.07368); xinyu1205/robust-loss-mlml"
)
_ZHOU = (
    'Zhou et al., "Acknowledging the Unknown for Multi-label Learning with Single Positive Labels", ECCV 2022; '
    "Correr-Zhou/SPML-AckTheUnknown"
)


def _published(
    voc: tuple[float, float],
    coco: tuple[float, float],
    nus: tuple[float, float],
    cub: tuple[float, float],
    openimages: float | None = None,
) -> dict[str, tuple[float, float | None]]:
    table: dict[str, tuple[float, float | None]] = {"voc2012": voc, "coco2014": coco, "nuswide": nus, "cub": cub}
    return table | ({} if openimages is None else {"openimages_v3": (openimages, None)})


_EXPECTED_POSITIVES = Hyperparameter(
    key="expected_positives",
    symbol="m",
    meaning="positive labels of an image on average",
    by_dataset={"voc2012": 1.5, "coco2014": 2.9, "nuswide": 1.9, "cub": 31.4, "digit_scenes": 2.2},
    search="{float: {low: 1.0, high: 40.0, log: true}}",
)
_SUM_OR_MEAN = Hyperparameter(
    key="reduction", symbol="reduction", meaning="sum or mean over the entries of a batch", default="sum"
)
_VARIANT = Hyperparameter(
    key="variant",
    symbol="variant",
    meaning="which of the circulating implementations",
    default="code",
    search="{choice: [code, paper, unobserved, mlcpl, per_image, kept]}",
)
_ENTROPY_WEIGHT = Hyperparameter(
    key="entropy_weight",
    symbol="alpha",
    meaning="weight of the entropy of unobserved labels",
    default=0.1,
    by_dataset={"voc2012": 0.2, "coco2014": 0.1, "nuswide": 0.1, "cub": 0.01},
    search="{float: {low: 0.01, high: 0.4, log: true}}",
)


def _focus(symbol: str, of: str, default: float, key: str, high: float) -> Hyperparameter:
    return Hyperparameter(
        key=key,
        symbol=symbol,
        meaning=f"focus of {of}: the larger, the less easy ones count",
        default=default,
        search=f"{{float: {{low: 0.0, high: {high}}}}}",
    )


def _course(key: str, symbol: str, meaning: str, default: float, low: float, high: float) -> Hyperparameter:
    return Hyperparameter(
        key=key, symbol=symbol, meaning=meaning, default=default, search=f"{{float: {{low: {low}, high: {high}}}}}"
    )


_DESCRIPTIONS = (
    MethodDescription(
        name="AN",
        title="assume-negative: what is not observed counts as negative",
        formula="positive -ln p; all others -ln(1 - p)",
        reduction="mean",
        source=_COLE,
        implementation="baselines:AssumeNegative",
        published_map=_published((85.1, 86.9), (64.1, 68.7), (42.0, 47.6), (19.1, 20.9), 82.0),
    ),
    MethodDescription(
        name="full",
        title="full labels: sees every true label of the training images, as an upper bound",
        formula="positive -ln p; negative -ln(1 - p)",
        reduction="mean",
        source=_COLE,
        implementation="baselines:AssumeNegative",
        learns_from_truth=True,
        published_map=_published((90.2, 91.1), (78.0, 77.2), (54.5, 54.9), (32.9, 34.0)),
    ),
    MethodDescription(
        name="WAN",
        title="weak assume-negative: an assumed negative weighs less",
        formula="positive -ln p; unobserved -g ln(1 - p); observed negative -ln(1 - p)",
        reduction="mean",
        source=_COLE,
        implementation="baselines:WeakAssumeNegative",
        hyperparameters=(
            Hyperparameter(
                key="negative_weight",
                symbol="g",
                meaning="weight of an assumed negative",
                computed="1 / (C - 1)",
                search="{float: {low: 0.01, high: 1.0, log: true}}",
            ),
        ),
        published_map=_published((86.5, 87.1), (64.8, 68.0), (46.3, 47.5), (20.3, 21.1), 77.0),
    ),
    MethodDescription(
        name="LSAN",
        title="assume-negative with label smoothing",
        formula="positive -(1-e) ln p - e ln(1-p); all others -(1-e) ln(1-p) - e ln p",
        reduction="mean",
        source=_COLE,
        implementation="baselines:LabelSmoothing",
        hyperparameters=(
            Hyperparameter(
                key="smoothing",
                symbol="e",
                meaning="what a target is moved towards the other",
                default=0.1,
                search="{float: {low: 0.01, high: 0.3}}",
            ),
        ),
        published_map=_published((86.7, 86.5), (66.9, 69.2), (44.9, 50.5), (17.9, 16.6), 75.0),
    ),
    MethodDescription(
        name="IU",
        title="ignore-unobserved: learns from observed labels alone, and so needs observed negatives",
        formula="positive -ln p; observed negative -ln(1 - p); unobserved 0",
        reduction="mean",
        source=_COLE,
        implementation="baselines:IgnoreUnobserved",
        needs_observed_negatives=True,
        published_map={"openimages_v3": (75.9, None)},
    ),
    MethodDescription(
        name="EPR",
        title="expected-positive regularization: observed labels, and how many positives an image has",
        formula="positive -ln p; observed negative -ln(1 - p); unobserved 0\n"
        "plus ((mean over images of sum p) - m)^2 / C^2",
        reduction="mean",
        source=_COLE,
        implementation="expected_positives:ExpectedPositives",
        hyperparameters=(_EXPECTED_POSITIVES,),
        published_map=_published((85.5, 84.9), (63.3, 66.8), (46.0, 48.1), (20.0, 21.2)),
    ),
    MethodDescription(
        name="ROLE",
        title="regularized online label estimation: a label matrix q is learnt beside the classifier",
        formula="half of, for p and for q: cross-entropy of the observed labels,\n"
        "cross-entropy against the stopped other one, and the penalty of EPR",
        reduction="mean",
        source=_COLE,
        implementation="role:OnlineLabelEstimation",
        hyperparameters=(
            _EXPECTED_POSITIVES,
            Hyperparameter(
                key="estimate_learning_rate_multiplier",
                symbol="lr_mult",
                meaning="q learns at this multiple of the backbone's learning rate",
                default=10.0,
                search="{float: {low: 1.0, high: 1000.0, log: true}}",
            ),
        ),
        published_map=_published((87.9, 88.2), (66.3, 69.0), (43.1, 51.0), (15.0, 16.8)),
    ),
    MethodDescription(
        name="LL-R",
        title="large-loss rejection: the k largest losses among the unobserved are left out",
        formula="positive -ln p; all others -ln(1 - p); the k largest of the unobserved 0",
        reduction="mean",
        source=_KIM,
        implementation="large_loss:Rejection",
        hyperparameters=(_VARIANT,),
        takes_schedule=True,
        rate_by_dataset={"voc2012": 0.002, "coco2014": 0.004, "nuswide": 0.004, "cub": 0.004},
        published_map=_published((89.2, 89.4), (71.0, 71.9), (47.4, 49.1), (19.5, 21.5), 82.5),
    ),
    MethodDescription(
        name="LL-Ct",
        title="large-loss correction, temporary: the k largest count as positives, this step only",
        formula="positive -ln p; all others -ln(1 - p); the k largest of the unobserved -ln p",
        reduction="mean",
        source=_KIM,
        implementation="large_loss:TemporaryCorrection",
        hyperparameters=(_VARIANT,),
        takes_schedule=True,
        rate_by_dataset={"voc2012": 0.002, "coco2014": 0.002, "nuswide": 0.002, "cub": 0.004},
        published_map=_published((89.0, 89.3), (70.5, 71.6), (48.0, 49.6), (20.4, 21.8), 82.6),
    ),
    MethodDescription(
        name="LL-Cp",
        title="large-loss correction, permanent: the k largest become positives for good",
        formula="positive and corrected -ln p; all others -ln(1 - p); the k largest of the unobserved are corrected",
        reduction="mean",
        source=_KIM,
        implementation="large_loss:PermanentCorrection",
        hyperparameters=(_VARIANT,),
        takes_schedule=True,
        rate_by_dataset={"voc2012": 0.001, "coco2014": 0.002, "nuswide": 0.002, "cub": 0.002},
        published_map=_published((88.4, 88.3), (70.7, 71.0), (48.3, 49.4), (20.1, 21.4), 82.5),
    ),
    MethodDescription(
        name="ASL",
        title="asymmetric loss: easy negatives count less, very easy ones not at all",
        formula="positive -(1-p)^g+ ln p; all others -pm^g- ln(1-pm), pm = max(p - margin, 0)",
        reduction="sum",
        source='Ridnik et al., "Asymmetric Loss For Multi-Label Classification", ICCV 2021; Alibaba-MIIL/ASL',
        implementation="asymmetric:AsymmetricLoss",
        hyperparameters=(
            _focus("g+", "positives", 0.0, "gamma_positive", 2.0),
            _focus("g-", "negatives", 4.0, "gamma_negative", 6.0),
            Hyperparameter(
                key="probability_margin",
                symbol="m",
                meaning="negatives with p up to this cost nothing",
                default=0.05,
                search="{float: {low: 0.0, high: 0.2}}",
            ),
            _SUM_OR_MEAN,
        ),
    ),
    MethodDescription(
        name="Hill",
        title="Hill: a negative of high p is taken for a likely missing positive, and its loss flattens",
        formula="positive -(1-pm)^gamma ln pm, pm = sigmoid(logit - margin); all others (lambda - p) p^2",
        reduction="sum",
        source=_ZHANG,
        implementation="missing_labels:Hill",
        hyperparameters=(
            Hyperparameter(
                key="hill_lambda",
                symbol="lambda",
                meaning="height of the hill",
                default=1.5,
                search="{float: {low: 1.0, high: 2.0}}",
            ),
            _focus("gamma", "positives", 2.0, "gamma", 4.0),
            Hyperparameter(
                key="logit_margin",
                symbol="m",
                meaning="what a positive's logit has to be larger by",
                default=1.0,
                search="{float: {low: 0.0, high: 2.0}}",
            ),
            _SUM_OR_MEAN,
        ),
    ),
    MethodDescription(
        name="SPLC",
        title="self-paced loss correction: an unobserved label of high p becomes a positive in the loss",
        formula="positive -(1-pm)^gamma ln pm, pm = sigmoid(logit - margin); all others -p^gamma ln(1-p)\n"
        "after the warm-up unobserved with p > tau -(1-p)^gamma ln p",
        reduction="sum",
        source=_ZHANG,
        implementation="missing_labels:SelfPacedCorrection",
        hyperparameters=(
            Hyperparameter(
                key="positive_threshold",
                symbol="tau",
                meaning="unobserved labels with a larger p become positives",
                default=0.6,
                search="{float: {low: 0.5, high: 0.9}}",
            ),
            _focus("gamma", "all labels", 2.0, "gamma", 4.0),
            Hyperparameter(
                key="logit_margin",
                symbol="m",
                meaning="what a positive's logit has to be larger by",
                default=1.0,
                search="{float: {low: 0.0, high: 2.0}}",
            ),
            Hyperparameter(
                key="warmup_epochs",
                symbol="change_epoch",
                meaning="epochs at the start that correct nothing",
                default=1,
                search="{int: {low: 0, high: 5}}",
            ),
            _SUM_OR_MEAN,
        ),
    ),
    MethodDescription(
        name="EM",
        title="entropy maximization: keeps predictions about unobserved labels uncertain",
        formula="positive -ln p; observed negative -ln(1 - p); unobserved alpha (p ln p + (1-p) ln(1-p))",
        reduction="mean",
        source=_ZHOU,
        implementation="entropy_maximization:EntropyMaximization",
        hyperparameters=(_ENTROPY_WEIGHT,),
    ),
    MethodDescription(
        name="EM+APL",
        title="entropy maximization with pseudo-labels: the least likely become soft negatives",
        formula="as EM; with a soft label s (the p of when it was given) beta (-s ln p - (1-s) ln(1-p));\n"
        "after each epoch from w on floor(share U_c / (T - w)) entries of least p of each class get one",
        reduction="mean",
        source=_ZHOU,
        implementation="entropy_maximization:AsymmetricPseudoLabels",
        hyperparameters=(
            _ENTROPY_WEIGHT,
            Hyperparameter(
                key="pseudo_label_weight",
                symbol="beta",
                meaning="weight of soft labels",
                default=0.2,
                by_dataset={"voc2012": 0.02, "coco2014": 0.9, "nuswide": 0.2, "cub": 0.4},
                search="{float: {low: 0.01, high: 1.0, log: true}}",
            ),
            Hyperparameter(
                key="pseudo_label_share",
                symbol="theta",
                meaning="share of the unobserved labels that are soft negatives in the end",
                default=0.9,
                search="{float: {low: 0.5, high: 0.99}}",
            ),
            Hyperparameter(
                key="warmup_epochs",
                symbol="w",
                meaning="the first epoch that soft labels follow",
                default=5,
                by_dataset={"voc2012": 5, "coco2014": 5, "nuswide": 4, "cub": 3},
                search="{int: {low: 2, high: 8}}",
            ),
        ),
    ),
    MethodDescription(
        name="GR",
        title="generalized robust loss: p and epoch decide how much an unobserved label counts, as what",
        formula="positive -ln p; observed negative -ln(1 - p);\n"
        "unobserved V (K (1-p^q2)/q2 + (1-K) (1-(1-p)^q3)/q3),\n"
        "K = sigmoid(w p + b), V = exp(-((p - mu)/sigma)^2 / 2), p stopped in both",
        reduction="mean",
        source='Chen et al., "Boosting Single Positive Multi-label Classification with Generalized Robust Loss", '
        "IJCAI 2024; yan4xi1/GRLoss",
        implementation="generalized_robust:GeneralizedRobust",
        hyperparameters=(
            _course("gr_w_first", "w(0)", "slope of K over p at the start", 0.0, 0.0, 2.0),
            _course("gr_w_last", "w(T)", "slope of K over p at the end", 2.0, 0.0, 8.0),
            _course("gr_b_first", "b(0)", "offset of K at the start", -2.0, -6.0, 0.0),
            _course("gr_b_last", "b(T)", "offset of K at the end", -2.0, -6.0, 0.0),
            _course("gr_mu_first", "mu(0)", "p of the largest V at the start", 0.5, 0.0, 1.0),
            _course("gr_mu_last", "mu(T)", "p of the largest V at the end", 0.8, 0.0, 1.0),
            _course("gr_sigma_first", "sigma(0)", "width of V over p at the start", 2.0, 0.5, 3.0),
            _course("gr_sigma_last", "sigma(T)", "width of V over p at the end", 0.5, 0.2, 2.0),
            _course("gr_q2", "q2", "robustness as a positive: 0 cross-entropy, 1 absolute error", 0.01, 0.0, 1.0),
            _course("gr_q3", "q3", "robustness as a negative: 0 cross-entropy, 1 absolute error", 1.0, 0.0, 1.0),
        ),
    ),
    MethodDescription(
        name="CSL",
        title="class-aware selective loss: unobserved labels that are likely positive are ignored",
        formula="positive -(1-p)^g+ ln p; observed negative -pm^g- ln(1-pm); unobserved -pm^gu ln(1-pm),\n"
        "pm = max(p - margin, 0), powers stopped; unobserved 0 where the class prior exceeds a threshold,\n"
        "and for the likely_per_image * B of largest p",
        reduction="sum",
        source='Ben-Baruch et al., "Multi-label Classification with Partial Annotations using Class-aware Selective '
        'Loss", CVPR 2022; Alibaba-MIIL/PartialLabelingCSL',
        implementation="selective:ClassAwareSelective",
        hyperparameters=(
            _focus("g+", "positives", 0.0, "gamma_positive", 2.0),
            _focus("g-", "observed negatives", 1.0, "gamma_negative", 4.0),
            _focus("gu", "unobserved labels", 2.0, "gamma_unobserved", 6.0),
            Hyperparameter(
                key="probability_margin",
                symbol="clip",
                meaning="negatives with p up to this cost nothing",
                default=0.0,
                search="{float: {low: 0.0, high: 0.2}}",
            ),
            Hyperparameter(
                key="likely_per_image",
                symbol="K",
                meaning="unobserved labels per image of a batch that are ignored",
                default=5,
                search="{int: {low: 0, high: 10}}",
            ),
            Hyperparameter(
                key="prior_threshold",
                symbol="eta",
                meaning="classes with a larger mean p are ignored where unobserved",
                default=0.5,
                by_dataset={"coco2014": 0.05, "openimages_v3": 0.05},
                search="{float: {low: 0.01, high: 0.9, log: true}}",
            ),
            _SUM_OR_MEAN,
        ),
    ),
)

METHODS: Mapping[str, MethodDescription] = MappingProxyType({one.name: one for one in _DESCRIPTIONS})
"""All methods by name, in the order in which to show them."""

HEADS: Mapping[str, HeadDescription] = MappingProxyType(
    {
        "linear": HeadDescription(
            name="linear",
            title="pool the feature map, then one linear layer",
            formula="logit_c = w_c . mean_xy(f) + b_c (small_cnn takes the maximum over the map)",
            source="the backbone's own",
        ),
        "boostlu": HeadDescription(
            name="boostlu",
            title="boost positive class activations before they are averaged; goes with any method",
            formula="logit_c = mean_xy(max(a, 5 a)), a = w_c . f_xy + b_c;\n"
            "published with LL-R, LL-Ct, LL-Cp at rates 0.005, 0.002, 0.001 per epoch",
            source='Kim, Kim, Jeong, Schmid, Akata, Lee, "Bridging the Gap between Model Explanations in Partially '
            'Annotated Multi-label Classification", CVPR 2023; youngwk/BridgeGapExplanationPAMC',
        ),
    }
)
"""Heads by name, `model.head`."""
