"""Tables as text: aligned on a terminal and in the source of a document."""

from __future__ import annotations

from edgespeech.runtime.measure.tables import markdown_table


def test_a_markdown_table_is_aligned_in_its_source() -> None:
    assert markdown_table(["a", "bcde"], [["long", "1"]]) == "| a    | bcde |\n|------|-----:|\n| long |    1 |"
    assert markdown_table(["a", "b"], []) == "| a   |   b |\n|-----|----:|"


def test_a_bar_within_a_cell_does_not_end_it() -> None:
    assert markdown_table(["a", "b"], [["x|y", "z"]], left=2).splitlines()[-1] == "| x\\|y | z   |"
