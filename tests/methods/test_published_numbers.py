"""Published numbers by method, dataset, head and mode; literal figures from the tables of both papers."""

from __future__ import annotations

import pytest

from wsml_study.methods.published_numbers import ELSEWHERE, WITH_BOOSTLU, Published, published

OPENIMAGES = {  # table 2 of Kim et al., CVPR 2022: G1 to G5, all classes
    "IU": (69.5, 70.3, 74.8, 79.2, 85.5, 75.9),
    "AN": (77.1, 78.7, 81.5, 84.1, 88.8, 82.0),
    "WAN": (71.8, 72.8, 76.3, 79.7, 84.7, 77.0),
    "LSAN": (68.4, 69.3, 73.7, 77.9, 85.6, 75.0),
    "LL-R": (77.4, 79.1, 82.0, 84.5, 89.5, 82.5),
    "LL-Ct": (77.7, 79.3, 82.1, 84.7, 89.4, 82.6),
    "LL-Cp": (77.6, 79.1, 81.9, 84.6, 89.4, 82.5),
    "Curriculum": (70.4, 71.3, 76.2, 80.5, 86.8, 77.1),
    "IMCL": (71.0, 72.6, 77.6, 81.8, 87.3, 78.1),
}


@pytest.mark.parametrize("method", OPENIMAGES)
def test_openimages_has_groups_whose_mean_is_the_map_of_all_classes(method: str) -> None:
    found = ELSEWHERE["openimages_v3"].get(method) or published(method, "openimages_v3")
    *groups, of_all = OPENIMAGES[method]
    assert found == Published(map=of_all, groups=tuple(groups))
    assert sum(groups) / 5 == pytest.approx(of_all, abs=0.1), "groups of equal size"


@pytest.mark.parametrize("method", WITH_BOOSTLU)
def test_groups_of_boostlu_have_the_map_of_all_classes_as_their_mean(method: str) -> None:
    found = published(method, "openimages_v3", head="boostlu")
    assert found is not None
    assert sum(found.groups) / 5 == pytest.approx(found.map, abs=0.01)


def test_head_and_mode_choose_the_figure() -> None:
    def figure(method: str, **how: str) -> float | None:
        found = published(method, "voc2012", **how)
        return None if found is None else found.map

    assert figure("LL-R") == figure("LL-R", head="linear", mode="end_to_end") == 89.2
    assert figure("LL-R", mode="linear_init") == 89.4
    assert figure("LL-R", head="boostlu") == 89.29, "BoostLU's own"
    assert figure("LL-R", head="boostlu", mode="linear_init") is None
    assert figure("AN", head="boostlu") is None
    assert figure("LL-R", mode="linear") is None
    assert figure("ASL") is None
