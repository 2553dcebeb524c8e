"""Tables as LaTeX and Markdown: what a name may hold is shown, and does nothing."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.latex import compiled, text_of
from wsml_study.record.formats import Format, format_of
from wsml_study.record.markup import latex, latex_text, markdown, markdown_text

HOSTILE = [
    r"\input{/etc/passwd}",
    r"50 % of $x$ & {y} #1 ~^_",
    "[4cm] after a line end",
    "* after a line end",
    "<script>alert(1)</script>",
    "-- and --- and ,, and ''",
    "a|b|c",
    "`code` **bold** ~~gone~~ [x](http://evil) ![y](z)",
    "www.evil.com me@evil.com &lt;",
    '"quoted"',
    "Käse − 1 ± 1",
]


def test_a_table_of_hostile_names_compiles_and_shows_them(tmp_path: Path) -> None:
    document = tmp_path / "table.tex"
    table = latex({"[name]": HOSTILE, "n": ["1"] * len(HOSTILE)})
    preamble = "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{booktabs}\\begin{document}\n"
    document.write_text(f"{preamble}{table}\n\\end{{document}}\n")
    shown = text_of(compiled(document)).replace("’", "'")
    for name in ["[name]", *HOSTILE]:
        assert "".join(name.split()) in shown


def test_a_table_of_hostile_names_is_plain_text_in_markdown() -> None:
    page = (
        MarkdownIt("commonmark")
        .enable(["table", "strikethrough"])
        .render(markdown({"<b>": HOSTILE, "n": ["1"] * len(HOSTILE)}))
    )
    cells = re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", page)
    assert [html.unescape(cell) for cell in cells[::2]] == ["<b>", *HOSTILE]
    assert set(re.findall(r"</?(\w+)", page)) == {"table", "thead", "tbody", "tr", "th", "td"}


def test_no_link_is_made_of_a_name() -> None:
    assert markdown_text("see http://a.b, www.a.b, me@a.b") == "see http:/&#47;a.b, www&#46;a.b, me&#64;a.b"


@pytest.mark.parametrize("write", [latex_text, markdown_text])
def test_control_characters_and_line_ends_are_written_out(write) -> None:
    assert not re.search("[\x00-\x1f\u202e]", write("a\x1b[2Jb\nc\td\u202e"))


def test_numbers_stand_to_the_right() -> None:
    columns = {"method": ["AN", "LL-R"], "mAP": ["84.90", "-"], "seeds": ["5", "5"], "none": ["-", "-"]}
    assert latex(columns).splitlines()[0] == r"\begin{tabular}{lrrl}"
    assert markdown(columns).splitlines()[1] == "| --- | ---: | ---: | --- |"


def test_a_suffix_names_the_format() -> None:
    files = {"a.tex": Format.LATEX, "a.md": Format.MARKDOWN, "a.MD": Format.MARKDOWN, "a.txt": Format.TABLE}
    assert {name: format_of(Path(name)) for name in files} == files
