"""What the commands print: nothing wider than the console, no blanks at the end of a line."""

import pytest

from mathrl.evals.display import FILE_WIDTH, bare_table, console, wrapped


@pytest.fixture
def narrow(monkeypatch):
    """Forty columns."""
    monkeypatch.setenv("COLUMNS", "40")


def test_a_table_fits_and_ends_its_lines_without_blanks(narrow, capsys):
    table = bare_table("run", "%", "what")
    table.add_row("runs/of/a/model/with/a/very/long/name/indeed", "12.34", "")
    console().print(table)
    lines = capsys.readouterr().out.splitlines()
    assert all(line == line.rstrip() and len(line) <= 40 for line in lines)
    assert "".join(line.split()[0] for line in lines[1:]).endswith("name/indeed"), "nothing is cut"
    assert "12.34" in lines[1]


def test_words_are_on_the_left_and_figures_on_the_right(narrow, capsys):
    table = bare_table("a", "b", "c", text=(0, 2))
    table.add_row("long", "1000", "word")
    table.add_row("x", "1", "y")
    console().print(table)
    assert capsys.readouterr().out == "a        b  c\nlong  1000  word\nx        1  y\n"


def test_a_table_without_headings_has_no_row_for_them(narrow, capsys):
    table = bare_table("", "")
    table.add_row("x", "1")
    console().print(table)
    assert capsys.readouterr().out == "x  1\n"


def test_a_sentence_breaks_between_words_and_a_path_stays_whole(narrow):
    path = "/a/path/that/is/longer/than/the/forty-columns/there/are"
    lines = wrapped(f"  one: some words that have to be broken, {path}", indent="    ").split("\n")
    assert lines[0] == "  one: some words that have to be"
    assert lines[-1] == f"    {path}"


def test_a_file_is_wide_unless_columns_says_otherwise(monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert console().width == FILE_WIDTH
    monkeypatch.setenv("COLUMNS", "72")
    assert console().width == 72
