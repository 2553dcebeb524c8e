"""The JSON Schema of a study file, for completion and warnings in editors, and a template to start from."""

from __future__ import annotations

import json
from typing import Any

from wsml_study.study.config_keys import ConfigKey, config_keys
from wsml_study.study.spec import Study


def schema() -> dict[str, Any]:
    """The schema of a study file.

    It covers keys and values one by one. Contradictions between keys are found only by `read_study`.
    """
    content: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Study.model_json_schema()}
    content["title"] = "wsml-study study file"
    content["properties"]["search"] |= {
        "properties": {key.path: _entry(key) for key in config_keys().values() if key.not_searched_because is None},
        "additionalProperties": False,
    }
    content["$defs"]["Level"]["properties"]["set"] |= {
        "properties": {
            key.path: {**key.schema, "description": key.description}
            for key in config_keys().values()
            if key.not_searched_because is None
        },
        "additionalProperties": False,
    }
    parameter = content["$defs"]["Parameter"]
    parameter["oneOf"] = [{"required": [domain]} for domain in ("choice", "float", "int")]
    parameter["properties"]["when"]["propertyNames"] = {"enum": list(config_keys())}
    return content


def schema_text() -> str:
    """The schema as the text of `studies/study.schema.json`."""
    return json.dumps(schema(), indent=2) + "\n"


def _entry(key: ConfigKey) -> dict[str, Any]:
    """Schema of the search entry of a key: any parameter, with `choice` restricted to values that the key accepts."""
    return {
        "$ref": "#/$defs/Parameter",
        "description": key.description,
        "properties": {"choice": {"items": dict(key.schema)}},
    }


def template() -> str:
    """A commented study file, on data that needs no download; it runs for a few minutes on two cores."""
    return TEMPLATE


TEMPLATE = """\
# yaml-language-server: $schema=study.schema.json
# For completion in your editor: wsml-study schema > study.schema.json
#
# wsml-study check THIS_FILE    what it will run
# wsml-study run THIS_FILE      run it; the same command goes on after an interruption
name: my_study # names the folder of results

# The sections down to `search` are the base config: the config of a trial before the search varies it.
data:
  dataset: digit_scenes # needs no download; voc2007 and voc2012 need `root`
  # root: data/VOCdevkit/VOC2012
  observe: {positives: 1, seed: 1200} # keep one positive label per training image, hide the rest
  validation: {fraction: 0.2, seed: 1200, labels: clean}
model: {backbone: small_cnn} # or torchvision's: {backbone: resnet50, weights: IMAGENET1K_V1}
method:
  name: LL-R # one of `wsml-study methods`
  # Rates are fractions: 0.002 distrusts 0.2 percent more of the labels in every epoch after the warm-up.
  schedule: {shape: linear, rate_per_epoch: 0.002, warmup_epochs: 1}
training: {epochs: 10, batch_size: 32, optimizer: adam, learning_rate: 1e-3}

# What to search: dotted keys of the base, each with exactly one of
#   choice: [a, b]    float: {low: 1e-5, high: 1e-2, log: true}    int: {low: 1, high: 5}
# A `step` makes a range finite, which `sampler: {name: grid}` needs.
search:
  method.name: {choice: [AN, LL-R, LL-Ct, LL-Cp]}
  method.schedule.rate_per_epoch:
    when: {method.name: [LL-R, LL-Ct, LL-Cp]} # only in trials of these methods
    float: {low: 0.0005, high: 0.03, log: true}
objective: {metric: best_val_map, classes: present} # or all: 0 for a class without a positive
sampler: {name: tpe, seed: 0} # tpe, random, grid, gp, cmaes, nsgaii
early_stopping: {name: asha, grace_epochs: 3, reduction_factor: 3} # or {name: none}
trials: 12 # in total; raise it later to go on searching
# fidelity: [{set: {data.image_size: 24}, survivors: 4}] # multi-fidelity: smaller images first, the best 4 at full size
# confirm: {top: 3, seeds: 5} # then run the best configs and the best baseline again with fresh seeds

# How it runs; without effect on results.
resources: {workers_per_trial: 1, gpus_per_worker: auto, cpus_per_worker: 1}
storage: results
"""
