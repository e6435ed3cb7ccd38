"""Decoding processes end with their build; last messages of their libraries are hidden."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]

HANG = """
import os, sys, time
from vatt_gh.media.workers import Limits, run_in_order

def hang(path):
    open(path, "w").write(str(os.getpid()))
    time.sleep(600)

if __name__ == "__main__":
    list(run_in_order(hang, [(sys.argv[1],)], workers=1, limits=Limits()))
"""
DIE = """
import ctypes, os, sys
from vatt_gh.media.workers import Limits, run_in_order

def die():
    os.write(2, b"corrupted double-linked list\\n")
    print("an error of ours", file=sys.stderr)
    os.abort()

if __name__ == "__main__":
    print(list(run_in_order(die, [()], workers=1, limits=Limits())))
"""

# A script's commands before "&" ignore this signal, and Python keeps that.
INTERRUPTIBLE = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"


def test_a_worker_that_hangs_ends_with_its_build(tmp_path):
    (tmp_path / "hang.py").write_text(HANG)
    told = tmp_path / "pid"
    build = subprocess.Popen([sys.executable, tmp_path / "hang.py", told])
    try:
        while not (told.exists() and told.read_text()):
            assert build.poll() is None
            time.sleep(0.05)
        worker = int(told.read_text())
        assert is_alive(worker)
    finally:
        build.send_signal(signal.SIGKILL)
        build.wait()
    for _ in range(200):
        if not is_alive(worker):
            break
        time.sleep(0.05)
    assert not is_alive(worker)


def test_what_a_library_says_before_it_dies_is_not_shown(tmp_path):
    (tmp_path / "die.py").write_text(DIE)
    done = subprocess.run(
        [sys.executable, tmp_path / "die.py"], capture_output=True, text=True, timeout=120
    )
    assert "its decoder process died" in done.stdout
    assert "corrupted" not in done.stderr
    assert "an error of ours" in done.stderr


def test_ctrl_c_in_a_build_shows_no_trace(small_corpus, tmp_path):
    build = subprocess.Popen(
        [
            *(sys.executable, "-c", INTERRUPTIBLE, "-m", "tfds_builders.build", "howto100m"),
            *(f"--manual_dir={small_corpus}", f"--data_dir={tmp_path}", "--workers=1"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        while not list(tmp_path.glob("howto100m/*/spool*")):  # the first video is being decoded
            assert build.poll() is None
            time.sleep(0.02)
        build.send_signal(signal.SIGINT)
        _, shown = build.communicate(timeout=120)
    finally:
        build.kill()
        build.wait()
    assert build.returncode == 130
    assert "Interrupted. The same command builds what is missing." in shown
    assert "Traceback" not in shown
