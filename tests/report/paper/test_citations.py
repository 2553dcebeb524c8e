"""Marks of citations in a text, and what becomes of them."""

from __future__ import annotations

from wsml_study.report.paper.citations import as_latex, as_markdown, bibliography, cited_in, reference_lines

TEXT = "LL-R [@kim2022large] on a_b with Adam [@kingma2015adam], and [@nothing] & more."


def test_a_mark_becomes_a_citation_and_all_else_is_escaped() -> None:
    assert as_latex(TEXT) == (
        r"LL-R~\cite{kim2022large} on a\_b with Adam~\cite{kingma2015adam}, and {[}@nothing{]} \& more."
    )
    assert as_markdown(TEXT) == (
        r"LL-R (Kim et al. 2022) on a\_b with Adam (Kingma and Ba 2015), and \[&#64;nothing\] &amp; more."
    )


def test_only_what_is_cited_is_in_the_bibliography() -> None:
    assert cited_in(TEXT) == ["kim2022large", "kingma2015adam"]
    written = bibliography(cited_in(TEXT))
    assert written.count("@inproceedings") == 2
    assert "Large Loss Matters" in written


def test_references_in_markdown_have_letters_for_accents() -> None:
    (line,) = reference_lines(["lin2014microsoft"])
    assert "Dollár, Piotr" in line
