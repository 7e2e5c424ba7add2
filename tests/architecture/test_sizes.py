"""Files and functions stay small enough to read."""

import ast

from tests.architecture.sources import code_files, short, tree_of

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60


def test_no_file_is_longer_than_four_hundred_lines() -> None:
    lengths = {short(path): len(path.read_text().splitlines()) for path in code_files()}

    assert {name: lines for name, lines in lengths.items() if lines > MAX_FILE_LINES} == {}


def test_no_function_is_longer_than_sixty_lines() -> None:
    long = [
        f"{short(path)}:{node.lineno} {node.name} {node.end_lineno - node.lineno + 1}"
        for path in code_files()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES
    ]

    assert long == []


def test_every_module_says_in_one_line_what_it_is_for() -> None:
    silent = [short(path) for path in code_files() if path.read_text().strip() and not ast.get_docstring(tree_of(path))]

    assert silent == []
