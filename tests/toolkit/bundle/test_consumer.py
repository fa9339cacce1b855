"""The printed lines work: an application keeps its release, and sees that another is active."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from toolkit.bundle.consumer import consumer_lines
from toolkit.errors import ToolkitError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A board's folder with two releases, of which the first is active."""
    store = tmp_path / "store"
    for name in ("one", "two"):
        (store / "cas").mkdir(parents=True, exist_ok=True)
        (store / "rel" / name).mkdir(parents=True)
        (store / "cas" / name).write_text(f"model {name}")
        (store / "rel" / name / "model.tflite").symlink_to(f"../../cas/{name}")
    (store / "apps" / "cats").mkdir(parents=True)
    switch(tmp_path, "one")
    return tmp_path


def switch(root: Path, release: str) -> None:
    app = root / "store" / "apps" / "cats"
    (app / "new").symlink_to(f"../../rel/{release}")
    (app / "new").replace(app / "current")


def count_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_python_keeps_its_release_and_sees_a_switch(root: Path) -> None:
    names: dict[str, Any] = {}
    exec(consumer_lines("cats", str(root), "python"), names)
    release = names["Release"]()
    assert not release.changed()

    switch(root, "two")
    assert release.read("model.tflite") == b"model one"
    assert release.changed()
    newer = names["Release"]()
    assert newer.read("model.tflite") == b"model two"
    assert not newer.changed()
    with pytest.raises(FileNotFoundError):
        newer.read("absent")
    descriptors = count_descriptors()
    release.close()
    newer.close()
    assert count_descriptors() == descriptors - 2


CPP_MAIN = """
#include <cstdio>
#include <memory>

static void print(const Release& release) {
  char text[64] = {};
  const int file = release.open_file("model.tflite");
  if (read(file, text, 63) < 0) perror("read");
  close(file);
  printf("%s changed=%d\\n", text, release.changed());
  fflush(stdout);
}

int main() {
  auto release = std::make_unique<Release>();
  print(*release);
  getchar();
  print(*release);
  release = std::make_unique<Release>();
  print(*release);
  try {
    release->open_file("absent");
  } catch (const std::system_error& error) {
    printf("%s\\n", error.what());
  }
}
"""


def test_cpp_keeps_its_release_and_sees_a_switch(root: Path) -> None:
    compiler = shutil.which("g++")
    assert compiler, "`make packages` installs g++"
    (root / "app.cpp").write_text(consumer_lines("cats", str(root), "cpp") + CPP_MAIN)
    options = ["-std=c++14", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([compiler, *options, root / "app.cpp", "-o", root / "app"], check=True)
    with subprocess.Popen(
        [root / "app"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as app:
        assert app.stdin is not None
        assert app.stdout is not None
        first = app.stdout.readline()
        switch(root, "two")
        app.stdin.write("\n")
        app.stdin.flush()
        lines = [first, *app.stdout.read().splitlines(keepends=True)]
    assert lines[:3] == [
        "model one changed=0\n",
        "model one changed=1\n",
        "model two changed=0\n",
    ]
    assert "absent: No such file" in lines[3]


@pytest.mark.parametrize(
    ("app", "root"),
    [("../cats", "/r"), ("cats", "r"), ("cats", '/r"; rm -rf /'), ("cats", "/a\nb")],
)
def test_names_that_would_break_the_lines_are_refused(app: str, root: str) -> None:
    with pytest.raises(ToolkitError):
        consumer_lines(app, root, "python")
