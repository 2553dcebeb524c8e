"""A search that has ended and a confirmation of it, to which a test adds runs."""

from __future__ import annotations

import json

from tests.sample_studies.stories import small_study
from wsml_study.record.history import StudyHistory
from wsml_study.record.tables import write_tables
from wsml_study.results.confirmation import read_confirmation
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.writing import dump_config

RATE = "method.schedule.rate_per_epoch"
SEARCH = [
    {"method.name": "AN"},
    {"method.name": "LL-R", RATE: 0.01},
    {"method.name": "LL-R", RATE: 0.02},
]
VALUES = [70.0, 75.0, 74.0]


def ll_r(rate: float) -> dict:
    """Values of a trial of LL-R at this rate."""
    return {"method.name": "LL-R", RATE: rate}


def epoch_of(value: float) -> dict:
    return {
        "epoch": 1,
        "train_loss": 1.0,
        "val_map": value,
        "val_map_true": value,
        "val_map_observed": value,
        "val_ap_C": [value],
        "best_epoch": 1,
        "best_val_map": value,
        "num_distrusted": 0,
        "train_seconds": 1.0,
        "validation_seconds": 1.0,
    }


class Told:
    """A finished search, and a confirmation to which runs are added."""

    def __init__(self, folder, values=VALUES, search=SEARCH, origins=None) -> None:
        self.study, self.folder = small_study(), folder
        self.space = SearchSpace.from_study(self.study)
        self.search, self.origins = search, origins or {}
        self.events = [{"event": "run", "time": 0.0, "classes": ["cat"], "num_trials": None}]
        history = StudyHistory()
        history.apply({"event": "run", "time": 0.0, "classes": ["cat"]})
        for number, (suggested, value) in enumerate(zip(search, values, strict=True)):
            for event in self.trial(number, suggested, self.config(number), value):
                history.apply(event)
        folder.mkdir(exist_ok=True)
        (folder / "study.yaml").write_text(dump_config(self.study))
        write_tables(folder, self.study, history)

    def config(self, number: int) -> dict:
        return self.space.resolve(self.study, self.search[number]).model_dump(mode="json")

    def trial(self, number, suggested, config, value, *, confirms=None, test=None, state="complete"):
        created = {"event": "created", "trial": number, "values": suggested, "config": config, "sampler_state": {}}
        origin = {"origin": self.origins[number]} if confirms is None and number in self.origins else {}
        yield created | {"time": 1.0, "confirms": confirms} | origin
        yield {"event": "attempt", "trial": number, "attempt": 1, "time": 1.0}
        epoch = {"event": "epoch", "trial": number, "attempt": 1, "time": 2.0, "result": epoch_of(value)}
        if state != "failed":
            yield (
                epoch
                | {"state": state}
                | ({} if test is None else {"test": {"test_map": test, "best_epoch": 1, "test_ap_C": [test]}})
            )
        if state != "running":
            yield {"event": "ended", "trial": number, "state": state, "error": None, "sampler_state": {}, "time": 3.0}

    def run(self, confirms, seed, value, test, state="complete"):
        number = sum(event["event"] == "created" for event in self.events)
        config = self.config(confirms)
        config["training"]["seed"] = config["data"]["observe"]["seed"] = seed
        seeds = {"training.seed": seed, "data.observe.seed": seed}
        told = self.trial(
            number, self.search[confirms] | seeds, config, value, confirms=confirms, test=test, state=state
        )
        self.events += told

    def plan(self, confirm):
        """The confirmation was asked for like this."""
        place = self.folder / "confirm"
        place.mkdir(exist_ok=True)
        (place / "study.yaml").write_text(dump_config(self.study.model_copy(update={"confirm": confirm})))

    def tell(self, num_trials=None):
        place = self.folder / "confirm"
        place.mkdir(exist_ok=True)
        self.events[0]["num_trials"] = num_trials or sum(event["event"] == "created" for event in self.events)
        (place / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in self.events))
        return read_confirmation(self.folder)
