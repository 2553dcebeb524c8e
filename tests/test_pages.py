"""README and docs: their studies are accepted, and their commands and options exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from ruamel.yaml import YAML

from wsml_study.cli.entry import app
from wsml_study.methods.catalogue import METHODS
from wsml_study.study.reading import parse_study
from wsml_study.study.tracker_record import TRACKERS

PROJECT = Path(__file__).parents[1]
PAGES = (PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").glob("**/*.md")))
OF_EXAMPLES = ("plugins.md", "adding_a_method.md")
"""Pages whose studies need what the page adds first; tests of their own run them."""

BASE = {
    "name": "page",
    "data": {"dataset": "digit_scenes"},
    "model": {"backbone": "resnet18", "weights": "IMAGENET1K_V1"},
    "method": {"name": "LL-R", "schedule": {"rate_per_epoch": 0.002}},
}
"""What stands around a part of a study file."""


def blocks(language: str) -> Iterator[tuple[Path, str]]:
    """Fenced blocks of a language; of none where it is empty."""
    for page in PAGES:
        for found, block in re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(), flags=re.DOTALL | re.MULTILINE):
            if found == language:
                yield page, block


def studies() -> list[Any]:
    found = [(page, block) for page, block in blocks("yaml") if page.name not in OF_EXAMPLES]
    return [pytest.param(block, id=f"{page.name}: {block.splitlines()[0][:30]}") for page, block in found]


def commands() -> list[str]:
    pages = [page.read_text() for page in PAGES if page.name != "architecture.md"]
    shown = [line for _, block in blocks("") for line in block.splitlines()]
    shown += [code for page in pages for code in re.findall(r"`([^`\n]+)`", page)]
    return sorted({line for line in shown if line.startswith("wsml-study ")})


@pytest.mark.parametrize("block", studies())
def test_a_study_is_accepted(block: str) -> None:
    content = BASE | YAML(typ="safe").load(block)
    if content.get("trials", 1) > 1:
        content = {"search": {"method.name": {"choice": ["AN", "LL-R"]}}} | content
    needs = {name for name in content.get("tracking", {}) if TRACKERS[name].requires}  # packages that may be absent
    parse_study(
        content | {"tracking": {k: v for k, v in content.get("tracking", {}).items() if k not in needs}}, "page"
    )


def block_commands() -> list[str]:
    """Whole commands, which pages show in blocks; in running text they may leave out what goes without saying."""
    return sorted({line for _, block in blocks("") for line in block.splitlines() if line.startswith("wsml-study ")})


def parsed(command: str) -> tuple[Any, list[str]]:
    """The command that a line means, and the words after its name."""
    plain = re.sub("<[^>]*>", "PLACEHOLDER", command).replace("[", " ").replace("]", " ")
    words = shlex.split(plain, comments=True)[1:]
    found = typer.main.get_command(app)
    while hasattr(found, "commands"):
        found = found.commands[words.pop(0)]
    return found, words


@pytest.mark.parametrize("command", commands())
def test_a_command_exists_with_its_options(command: str) -> None:
    found, words = parsed(command)
    known = {option for parameter in found.params for option in parameter.opts}
    assert {word for word in words if re.match(r"--?[a-z]", word)} - known == set()


@pytest.mark.parametrize("command", block_commands())
def test_a_command_of_a_block_has_what_it_needs(command: str) -> None:
    found, words = parsed(command)
    found.make_context(found.name, words)  # arguments and options with their types and limits, and nothing runs


def test_studies_that_commands_name_exist() -> None:
    named = {word for command in commands() for word in command.split() if re.fullmatch(r"studies/[\w/]+\.yaml", word)}
    assert len(named) > 2
    assert [word for word in sorted(named) if not (PROJECT / word).exists()] == []


def test_the_readme_lists_every_command() -> None:
    root = typer.main.get_command(app)
    listed = (PROJECT / "README.md").read_text()
    assert [name for name in root.commands if f"wsml-study {name} " not in listed and f"; {name}" not in listed] == []


def test_the_readme_links_every_page() -> None:
    listed = (PROJECT / "README.md").read_text()
    pages = [str(page.relative_to(PROJECT)) for page in PAGES if page.parent != PROJECT]
    assert [page for page in pages if f"]({page})" not in listed] == []


def test_the_readme_counts_the_other_losses() -> None:
    papers = {"AN", "full", "LL-R", "LL-Ct", "LL-Cp"}
    assert f"compares {len(METHODS.keys() - papers)} other losses" in (PROJECT / "README.md").read_text()
