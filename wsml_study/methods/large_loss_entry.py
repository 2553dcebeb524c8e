"""Records of LL-R, LL-Ct and LL-Cp: names, formulas, options, published numbers."""

from __future__ import annotations

from wsml_study.methods.method_record import MethodRecord, published
from wsml_study.options import Option, one_of

KIM = (
    'Kim, Kim, Akata, Lee, "Large Loss Matters in Weakly Supervised Multi-Label Classification", CVPR 2022; '
    "snucml/LargeLossMatters"
)

VARIANTS = {
    "code": "rate of all B*C entries; the k largest losses, the first of equal ones. Without ties the published LL-R "
    "and LL-Ct (snucml/LargeLossMatters), and LL-Cp as in youngwk/BridgeGapExplanationPAMC",
    "as_published": "as code, but every loss that equals the k-th largest counts, and LL-Cp stores only those above "
    "it, k - 1 without ties: LL-Cp's published numbers (snucml/LargeLossMatters of March 2022)",
    "paper": "rate of U; strictly above the (k+1)-th largest",
    "unobserved": "rate of U; the k largest losses (michalwols/yann)",
    "mlcpl": "rate of U, rounded, at least 1; strictly above the k-th largest (maxium0526/mlcpl)",
    "per_image": "rate of the C classes; the k largest losses of each image (LargeLossMattersMask)",
    "kept": "as code, but LL-R's mean divides by the entries that are kept (after HCPLab-SYSU/HCP-MLR-PL)",
    "carried": "as code, but what rounding leaves travels on to the next batch, so that a rate means the same at "
    "every batch size (no paper has it)",
}
"""Variants of the large-loss methods by name -> what each does."""

VARIANT = Option(
    key="variant",
    limits=one_of(**VARIANTS),
    symbol="variant",
    meaning="which of the circulating implementations",
    default="code",
    search=f"{{choice: [{', '.join(VARIANTS)}]}}",
)

RECORDS = (
    MethodRecord(
        name="LL-R",
        position=80,
        title="large-loss rejection: the k largest losses among the unobserved are left out",
        formula="positive -ln p; all others -ln(1 - p); the k largest of the unobserved 0",
        reduction="mean",
        source=KIM,
        factory="wsml_study.methods.large_loss:Rejection",
        options=(VARIANT,),
        takes_schedule=True,
        rate_by_dataset={"voc2012": 0.002, "coco2014": 0.004, "nuswide": 0.004, "cub": 0.004},
        published_map=published((89.2, 89.4), (71.0, 71.9), (47.4, 49.1), (19.5, 21.5), 82.5),
        published_groups=(77.4, 79.1, 82.0, 84.5, 89.5),
    ),
    MethodRecord(
        name="LL-Ct",
        position=90,
        title="large-loss correction, temporary: the k largest count as positives, this step only",
        formula="positive -ln p; all others -ln(1 - p); the k largest of the unobserved -ln p",
        reduction="mean",
        source=KIM,
        factory="wsml_study.methods.large_loss:TemporaryCorrection",
        options=(VARIANT,),
        takes_schedule=True,
        rate_by_dataset={"voc2012": 0.002, "coco2014": 0.002, "nuswide": 0.002, "cub": 0.004},
        published_map=published((89.0, 89.3), (70.5, 71.6), (48.0, 49.6), (20.4, 21.8), 82.6),
        published_groups=(77.7, 79.3, 82.1, 84.7, 89.4),
    ),
    MethodRecord(
        name="LL-Cp",
        position=100,
        title="large-loss correction, permanent: the k largest become positives for good",
        formula="positive and corrected -ln p; all others -ln(1 - p); the k largest of the unobserved are corrected\n"
        "k is that of the schedule's increase; published mAP below: variant as_published",
        reduction="mean",
        source=KIM,
        factory="wsml_study.methods.large_loss:PermanentCorrection",
        options=(VARIANT,),
        takes_schedule=True,
        corrects_for_good=True,
        by_image=True,
        rate_by_dataset={"voc2012": 0.001, "coco2014": 0.002, "nuswide": 0.002, "cub": 0.002},
        published_map=published((88.4, 88.3), (70.7, 71.0), (48.3, 49.4), (20.1, 21.4), 82.5),
        published_groups=(77.6, 79.1, 81.9, 84.6, 89.4),
    ),
)
