"""Published test mAP of a method on a dataset, with the head and the mode that it was obtained with.

Source: `published_map` and `published_groups` of the methods' records, tables 1 and 2 of Kim et al., CVPR 2022, where
`published_source` names no other; and tables of
BoostLU, Kim et al., CVPR 2023; the repositories of both papers show them. Curriculum and IMCL are quoted there from the
papers of Durand et al., CVPR 2019, and Huynh and Elhamifar, CVPR 2020.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from wsml_study.methods.catalogue import METHODS
from wsml_study.methods.method_record import KIM

BOOSTLU = "Kim et al., CVPR 2023 (BoostLU, arXiv 2304.01804)"


@dataclass(frozen=True, kw_only=True)
class Published:
    """One published result.

    Attributes:
        map: test mAP in percent.
        groups: mAP in percent of groups of classes, from that with the fewest training labels to that with the most;
            empty where a paper has none.
        source: the paper.
    """

    map: float
    groups: tuple[float, ...] = ()
    source: str = KIM

    @property
    def text(self) -> str:
        """The mAP with the decimals of the paper."""
        return f"{self.map:.1f}" if self.source == KIM else f"{self.map:.2f}"


ELSEWHERE: Mapping[str, Mapping[str, Published]] = MappingProxyType(
    {
        "openimages_v3": MappingProxyType(
            {
                "Curriculum": Published(map=77.1, groups=(70.4, 71.3, 76.2, 80.5, 86.8)),
                "IMCL": Published(map=78.1, groups=(71.0, 72.6, 77.6, 81.8, 87.3)),
            }
        )
    }
)
"""Dataset -> method that is not implemented here -> its result in the paper's table."""


def _boosted(
    voc: float, coco: float, nus: float, cub: float, openimages: float, *groups: float
) -> dict[str, Published]:
    of_all = {"voc2012": voc, "coco2014": coco, "nuswide": nus, "cub": cub, "openimages_v3": openimages}
    return {
        dataset: Published(map=value, groups=groups if dataset == "openimages_v3" else (), source=BOOSTLU)
        for dataset, value in of_all.items()
    }


WITH_BOOSTLU: Mapping[str, Mapping[str, Published]] = MappingProxyType(
    {
        "LL-R": _boosted(89.29, 72.89, 49.59, 19.80, 83.86, 79.28, 80.81, 83.32, 85.63, 90.27),
        "LL-Ct": _boosted(88.61, 71.78, 48.37, 19.25, 83.94, 79.43, 80.75, 83.41, 85.70, 90.41),
        "LL-Cp": _boosted(87.81, 71.41, 48.61, 19.34, 84.04, 79.53, 81.04, 83.40, 85.85, 90.39),
    }
)
"""Method -> dataset -> its result with the BoostLU head, trained end to end."""


def published(method: str, dataset: str, *, head: str | None = None, mode: str | None = None) -> Published | None:
    """The published result of a method; None if there is none with this head and mode.

    >>> published("LL-R", "voc2012", mode="linear_init").map, published("LL-R", "voc2012", head="boostlu").map
    (89.4, 89.29)

    Args:
        method: one of `METHODS`.
        dataset: as `data.dataset`.
        head: as `model.head`.
        mode: as `training.mode`.
    """
    mode = mode or "end_to_end"
    if head == "boostlu":
        return WITH_BOOSTLU.get(method, {}).get(dataset) if mode == "end_to_end" else None
    record = METHODS.get(method)
    if record is None or dataset not in record.published_map or mode not in ("end_to_end", "linear_init"):
        return None
    end_to_end, linear_init = record.published_map[dataset]
    if mode == "linear_init":
        return None if linear_init is None else Published(map=linear_init, source=record.published_source)
    groups = record.published_groups if dataset == "openimages_v3" else ()
    return Published(map=end_to_end, groups=groups, source=record.published_source)
