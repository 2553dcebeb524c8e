#!/bin/sh
# What docs/cluster/Containerfile runs: a virtual environment with the project and what its cluster jobs need.
#   sh install.sh PROJECT VENV
# pip takes its indexes from its own configuration. The versions are those of the project's constraints.txt.
set -eu
project=$1
venv=$2
python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --no-cache-dir --disable-pip-version-check \
    --constraint "$project/constraints.txt" "$project[arff,cluster,cmaes,heic,onnx,sql]"
"$venv/bin/ray" --version
"$venv/bin/wsml-study" check --demo
