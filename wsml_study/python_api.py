"""Studies in Python, equal to the command line: `wsml_study.Study(...).run()`.

import wsml_study

study = wsml_study.Study.read("studies/rejection_rate.yaml")     # or Study(name=..., data={...}, method={...}, ...)
print(study.check())
results = study.run()
results.ranked.head(), results.figures["map_over_rate"], study.confirm().confirmation
"""

from __future__ import annotations

import html
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from wsml_study.study.reading import parse_study, read_study
from wsml_study.study.writing import dump_config

if TYPE_CHECKING:
    from wsml_study.record.history import StudyHistory
    from wsml_study.report.loading import StudyResults
    from wsml_study.study.spec import Study as Specification
    from wsml_study.tuning.ledger import Listener

logger = logging.getLogger("wsml_study")


class Text:
    """Lines of text that print, and show in a notebook, as they are."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = tuple(lines)

    def __str__(self) -> str:
        return "\n".join(self.lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


class LoggingListener:
    """Follows a run by messages to the logger `wsml_study`: phases, notices, and trials as they end."""

    def on_phase(self, message: str) -> None:
        """Something that takes a while begins."""
        logger.info("%s ...", message)

    def on_notice(self, message: str) -> None:
        """Something that the user should know."""
        logger.warning("%s", message)

    def on_images(self, done: int, total: int) -> None:
        """So many images of a split were decoded into the store."""
        logger.debug("decoding images: %d of %d", done, total)

    def on_preparation(self, message: str) -> None:
        """What the workers do before they can train."""
        if message:
            logger.debug(message)

    def on_slots(self, slots: int, num_trials: int, history: StudyHistory) -> None:
        """Trials begin."""
        logger.info("%d trials, %d at a time", num_trials, slots)

    def on_event(self, history: StudyHistory, event: str, number: int) -> None:
        """An event of a trial was added to the history."""
        if event == "ended":
            trial = history.trials[number]
            logger.info("trial %d: %s after epoch %d", number, trial.state.value, trial.last_epoch)


class Study:
    """A study: a base config, and the search around it.

    Attributes:
        specification: its sections, checked.
    """

    def __init__(self, **sections: Any) -> None:
        """A study of the sections that a study file would have.

        Args:
            sections: `name`, `data`, `method` and whatever else `wsml-study schema` lists, as plain values; `search` is
                a mapping of dotted keys.

        Raises:
            StudyFileError: the sections are not a study; the message lists every problem that `check` would.
        """
        self.specification: Specification = parse_study(sections, source="Study(...)")

    @classmethod
    def read(cls, path: str | Path) -> Study:
        """The study of a YAML file.

        Raises:
            StudyFileError: there is no such file, or it is not a study.
        """
        return cls._of(read_study(path))

    @classmethod
    def _of(cls, specification: Specification) -> Study:
        study = cls.__new__(cls)
        study.specification = specification
        return study

    def to_yaml(self) -> str:
        """The study as a study file that reads back as an equal study."""
        return dump_config(self.specification)

    def check(self) -> Text:
        """What the study will run: data, search space, labels distrusted per epoch, trials, resources.

        Raises:
            DataError: images or labels are missing or malformed.
            TrainingError: a backbone cannot be had, or does not work at the study's image size.
        """
        from wsml_study.report.study_preview import preview
        from wsml_study.tuning.model_checks import check_models

        shown = preview(self.specification)
        check_models(self.specification, image_size=shown.image_size, num_channels=shown.num_channels, download=False)
        return Text(shown.lines())

    def run(
        self,
        *,
        trials: int | None = None,
        restart: bool = False,
        address: str | None = None,
        listener: Listener | None = None,
    ) -> StudyResults:
        """Run the study, or go on with it from wherever it stopped; and its confirmation if it asks for one.

        Args:
            trials: total number of trials; more than before extends it. By default what the study says.
            restart: set earlier results aside and start anew.
            address: of a Ray cluster; None starts a local one.
            listener: follows the run; by default messages go to the logger `wsml_study`.

        Raises:
            StudyFileError: the study may not begin: a file of `start_from` is not there.
            ResultsError: the folder of the results belongs to a different study, or another run holds it.
            DataError: images or labels are missing or malformed.
            TrainingError: a backbone or its weights cannot be had.
            ResourcesError: the cluster is too small for one trial, or not there.
        """
        from wsml_study.record.study_folder import refuse_new
        from wsml_study.tuning.confirmation_run import run_and_confirm

        refuse_new(self.specification)
        run_and_confirm(
            self.specification, listener or LoggingListener(), num_trials=trials, restart=restart, address=address
        )
        return self.results()

    def confirm(
        self,
        *,
        top: int | None = None,
        seeds: int | Literal["auto"] | None = None,
        address: str | None = None,
        listener: Listener | None = None,
    ) -> StudyResults:
        """Run the best configs and the best baseline again, over fresh seeds and draws of the hidden labels.

        Args:
            top: configs beside the baseline; by default what the study says, or 3.
            seeds: of each, or "auto" to add them in rounds; by default what the study says, or 5.
            address, listener: as in `run`.

        Raises:
            ResultsError: the study has no results yet; otherwise as `run`.
        """
        from wsml_study.tuning.confirmation_run import confirm_study

        confirm_study(self.specification, listener or LoggingListener(), top=top, seeds=seeds, address=address)
        return self.results()

    def results(self) -> StudyResults:
        """The results so far.

        Raises:
            ResultsError: there are none.
        """
        from wsml_study.report.loading import load

        return load(f"{self.specification.storage}/{self.specification.name}")

    def __repr__(self) -> str:
        return f"Study {self.specification.name}\n{self.to_yaml()}"

    def _repr_html_(self) -> str:
        return f"<b>Study {html.escape(self.specification.name)}</b><pre>{html.escape(self.to_yaml())}</pre>"


def run(study: Study | Mapping[str, Any] | str | Path, **arguments: Any) -> StudyResults:
    """Run a study to its end, from wherever an earlier run of it left off.

    Args:
        study: a study, its sections as a mapping, or the path of a study file.
        arguments: of `Study.run`.

    Raises:
        StudyFileError: it is not a study; otherwise as `Study.run`.
    """
    if isinstance(study, Mapping):
        study = Study(**study)
    return (study if isinstance(study, Study) else Study.read(study)).run(**arguments)
