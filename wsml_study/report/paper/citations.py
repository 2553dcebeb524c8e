"""References: what is cited for a method, dataset, backbone, optimizer, sampler or rule, and the entries for BibTeX."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import cache
from importlib import resources

from wsml_study.record.markup import latex_text, markdown_text

COLE, KIM, ZHANG, ZHOU = "cole2021multi", "kim2022large", "zhang2021simple", "zhou2022acknowledging"

OF_METHOD = {
    **dict.fromkeys(("AN", "WAN", "LSAN", "IU", "EPR", "ROLE"), COLE),
    **dict.fromkeys(("LL-R", "LL-Ct", "LL-Cp"), KIM),
    "ASL": "ridnik2021asymmetric",
    **dict.fromkeys(("Hill", "SPLC"), ZHANG),
    **dict.fromkeys(("EM", "EM+APL"), ZHOU),
    "GR": "chen2024boosting",
    "CSL": "benbaruch2022multi",
    "CRISP": "liu2025can",
    "PU-MLC": "yuan2024positive",
    "VLPL": "xing2024vision",
    "GPR": "tran2025more",
    "MIME": "liu2023revisiting",
    "PLC": "xie2022label",
    "IGNORE": "song2024ignore",
}
OF_DATASET = {
    **dict.fromkeys(("voc2012", "voc2007"), "everingham2010pascal"),
    "coco2014": "lin2014microsoft",
    "nuswide": "chua2009nus",
    "cub": "wah2011caltech",
    "visual_genome": "krishna2017visual",
    "openimages_v3": "kuznetsova2020open",
    "lvis": "gupta2019lvis",
    "chexpert": "irvin2019chexpert",
    "nih_chestxray14": "wang2017chestx",
    "l48": "sun2025merlin",
    "imagenet_multilabel": "russakovsky2015imagenet",
    "digit_scenes": "pedregosa2011scikit",
}
OF_BACKBONE = {"resnet": "he2016deep", "mobilenet_v2": "sandler2018mobilenetv2"}
"""How a backbone's name begins -> what is cited for it."""
OF_SETTING = {
    "adam": "kingma2015adam",
    "boostlu": "kim2023bridging",
    "tpe": "bergstra2011algorithms",
    "asha": "li2020system",
    "hyperband": "li2018hyperband",
    "pbt": "jaderberg2017population",
}
"""Value of a key in a study file -> what is cited for it."""

CITED = re.compile(r"\[@(\w+)\]")
ENTRY = re.compile(r"^@\w+\{(\w+),.*?^\}$", re.DOTALL | re.MULTILINE)
ACCENT = re.compile(r"\{\\'(\w)\}")
FIELD = re.compile(r"^  (\w+) = \{(.*)\},?$", re.MULTILINE)


def cite(key: str | None) -> str:
    """The mark in a text that `as_latex` and `as_markdown` make a citation of; empty for None."""
    return "" if key is None else f" [@{key}]"


def cite_backbone(name: str) -> str:
    """The mark for a backbone; empty if nothing is known to cite."""
    return cite(next((key for start, key in OF_BACKBONE.items() if name.startswith(start)), None))


def cited_in(text: str) -> list[str]:
    """Keys of the entries that a text cites, in order."""
    return [key for key in dict.fromkeys(CITED.findall(text)) if key in _entries()]


def bibliography(keys: Iterable[str]) -> str:
    """A .bib file with these entries."""
    entries = _entries()
    return "\n\n".join(entries[key] for key in dict.fromkeys(keys)) + "\n"


def as_latex(text: str) -> str:
    """A text with its marks as LaTeX's citations, all else escaped."""
    return _written(text, latex_text, lambda key: rf"~\cite{{{key}}}")


def as_markdown(text: str) -> str:
    """A text with its marks as authors and years, all else escaped."""
    return _written(text, markdown_text, lambda key: f" ({_named(key)})")


def reference_lines(keys: Iterable[str]) -> list[str]:
    """The entries as a list in Markdown."""
    return [f"- {markdown_text(_plain(_entries()[key]))}" for key in dict.fromkeys(keys)]


def _written(text: str, escape: Callable[[str], str], cited: Callable[[str], str]) -> str:
    """A text with its marks replaced; what looks like one and names no entry is text."""
    written: list[str] = []
    for place, part in enumerate(CITED.split(text)):
        if place % 2 == 0:
            written.append(escape(part))
        elif part in _entries():
            written += [written.pop().rstrip(), cited(part)]
        else:
            written.append(escape(f"[@{part}]"))
    return "".join(written)


@cache
def _entries() -> dict[str, str]:
    text = (resources.files(__package__) / "references.bib").read_text(encoding="utf-8")
    return {found[1]: found[0] for found in ENTRY.finditer(text)}


def _fields(entry: str) -> dict[str, str]:
    """Fields of an entry as plain text."""
    accented = ACCENT.sub(lambda found: unicodedata.normalize("NFC", f"{found[1]}\u0301"), entry)
    return {name: re.sub(r"[{}]", "", value) for name, value in FIELD.findall(accented)}


def _named(key: str) -> str:
    """Authors and year, as a sentence has them."""
    fields = _fields(_entries()[key])
    first, *others = [author.partition(",")[0] for author in fields["author"].split(" and ")]
    more = "" if not others else f" and {others[0]}" if len(others) == 1 and others[0] != "others" else " et al."
    return f"{first}{more} {fields.get('year', '')}".rstrip()


def _plain(entry: str) -> str:
    fields = _fields(entry)
    place = next(fields[name] for name in ("booktitle", "journal", "institution", "note") if name in fields)
    authors = fields["author"].replace(" and others", " et al.").replace(" and ", "; ")
    return f"{authors}. {fields['title']}. {place} {fields.get('year', '')}".rstrip()
