"""The figures of the code, and that their script sees what is over a limit."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def figures(folder):
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / "figures.py", folder],
        capture_output=True,
        text=True,
    )


def methods(count):
    return "class Large:\n" + "".join(
        f"    def m{number}(self):\n        return {number}\n"
        for number in range(count)
    )


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("x = 1\n" * 601, "lines of a file: 601"),
        ("def long():\n" + "    x = 1\n" * 46, "lines of a function: 46"),
        (methods(26), "methods of a class: 26"),
        ('"""One two three four five six seven eight nine ten."""\n', "10, not 9"),
        ("try:\n    pass\nexcept Exception:\n    pass\n" * 6, "except Exception at"),
    ],
)
def test_what_is_over_a_limit_is_named(tmp_path, code, said):
    (tmp_path / "one.py").write_text(code)
    (tmp_path / "two.py").write_text("def short():\n    return 1\n\n\nclass A: ...\n")
    if not code.startswith('"""'):
        (tmp_path / "three.py").write_text('"""Short."""\n')
    found = figures(tmp_path)
    assert found.returncode == 1
    assert said in found.stderr


def test_comments_docstrings_and_empty_lines_do_not_count(tmp_path):
    body = '    """Say."""\n' + "    # why\n\n" * 60 + "    return 1\n"
    (tmp_path / "one.py").write_text(f"def short():\n{body}\n\nclass A: ...\n")
    found = figures(tmp_path)
    assert "lines of a function     median 1" in found.stdout
    assert found.returncode == 0


def test_the_code_keeps_within_its_limits():
    found = figures(ROOT / "napari_alseg")
    assert found.returncode == 0, found.stdout + found.stderr
