import subprocess
import sys


def test_what_is_no_project_opens_no_window_and_exits_with_2(tmp_path):
    command = [sys.executable, "-m", "napari_alseg.cli", "open", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 2
    assert "is no labelling project" in ended.stderr
    assert "Traceback" not in ended.stderr
