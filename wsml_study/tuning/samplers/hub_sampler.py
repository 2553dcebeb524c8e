"""Samplers of OptunaHub, loaded from a folder on this machine; nothing is downloaded."""

from __future__ import annotations

import inspect
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsml_study.errors import PluginError
from wsml_study.options import TEXT, Option
from wsml_study.registry import Requirement
from wsml_study.study.sampler_record import BATCH, SamplerRecord, SamplerRequest

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


def from_folder(request: SamplerRequest) -> BaseSampler:
    """The sampler of a class in the folder of an OptunaHub package; it gets the proposal's seed if it takes one.

    Raises:
        PluginError: the package cannot be imported, has no such class, or the class does not take these options.
    """
    folder, name = Path(str(request.options["folder"])).absolute(), str(request.options["class"])
    kind = _class_in(folder, name)
    arguments = dict(request.arguments)
    try:
        if "seed" in inspect.signature(kind).parameters:
            arguments = {"seed": request.seed} | arguments
        made: BaseSampler = kind(**arguments)
    except Exception as error:  # whatever somebody else's class raises
        raise PluginError(
            f"sampler.options: {name} of {folder} cannot be created with {arguments}: {type(error).__name__}: {error}; "
            f"it takes {inspect.signature(kind)}"
        ) from error
    return made


@cache
def _class_in(folder: Path, name: str) -> Any:
    import optunahub
    from optuna.samplers import BaseSampler

    try:
        module = optunahub.load_local_module(folder.name, registry_root=str(folder.parent))
    except Exception as error:  # whatever somebody else's module raises
        raise PluginError(
            f"sampler.folder: {folder} cannot be imported: {type(error).__name__}: {error}; expected the folder of an "
            f"OptunaHub package, with its __init__.py, and the packages that it needs installed"
        ) from error
    kind = getattr(module, name, None)
    if not (isinstance(kind, type) and issubclass(kind, BaseSampler)):
        known = [key for key, one in vars(module).items() if isinstance(one, type) and issubclass(one, BaseSampler)]
        raise PluginError(f"sampler.class: {folder} has no sampler {name}; it has {', '.join(sorted(known)) or 'none'}")
    return kind


RECORDS = (
    SamplerRecord(
        name="optunahub",
        position=70,
        title="a sampler of OptunaHub in a folder on this machine",
        create=from_folder,
        takes_given_trials=True,
        takes_arguments=True,
        options=(
            BATCH,
            Option(
                key="folder",
                limits=TEXT,
                meaning="folder of the package, with its __init__.py, relative to where the command runs",
            ),
            Option(key="class", limits=TEXT, meaning="name of the sampler's class in the package"),
        ),
        requires=(Requirement(module="optunahub", install="pip install 'wsml-study[optunahub]'"),),
    ),
)
