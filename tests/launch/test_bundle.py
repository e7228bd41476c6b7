from __future__ import annotations

from pathlib import Path

import pytest

from musket.core.errors import ArtifactError
from musket.launch.bundle import Copy, Depot

TRAVELS = ("common.yaml", "modules/**/*", "experiments/**/config.yaml")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "ships"
    for name in (
        "common.yaml",
        "modules/parts.py",
        "modules/deep/more.py",
        "modules/__pycache__/parts.pyc",
        "data/images/a.jpg",
        "experiments/unet/config.yaml",
        "experiments/unet/config.yaml.folds_split",
        "experiments/unet/weights/last-0.0.state",
        "experiments/unet/.fit.lock",
        "experiments/other/config.yaml",
        "experiments/other/weights/best-0.0.weights",
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return root.resolve()


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Copy:
    folder = (tmp_path / "node").resolve()
    folder.mkdir()
    copy = Copy(Depot(root, TRAVELS), str(root), "experiments/unet", folder, ("data", "cellar"))
    copy.fetch()
    return copy


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_code_configs_and_the_jobs_own_files_travel(copy: Copy, root: Path) -> None:
    assert files(copy.folder) == {
        "common.yaml",
        "modules/parts.py",
        "modules/deep/more.py",
        "experiments/unet/config.yaml",
        "experiments/unet/config.yaml.folds_split",
        "experiments/unet/weights/last-0.0.state",
        "experiments/other/config.yaml",
    }
    name = "experiments/unet/weights/last-0.0.state"
    assert (copy.folder / name).read_text() == name
    assert (copy.folder / name).stat().st_mtime_ns == (root / name).stat().st_mtime_ns


def test_files_beside_the_jobs_own_travel_and_stay_what_they_are(root: Path, tmp_path: Path) -> None:
    beside = ("experiments/other/config.yaml", "experiments/other/weights/best-0.0.weights", "experiments/gone")
    copy = Copy(Depot(root, ()), str(root), "experiments/unet", (tmp_path / "node").resolve(), beside=beside)
    copy.fetch()
    assert set(beside[:2]) <= files(copy.folder)
    (copy.folder / beside[0]).write_text("changed")
    copy.send()
    assert (root / beside[0]).read_text() == beside[0]


def test_data_are_used_where_they_are(copy: Copy, root: Path) -> None:
    assert (copy.folder / "data").is_symlink()
    assert (copy.folder / "data" / "images" / "a.jpg").read_text() == "data/images/a.jpg"
    assert not (copy.folder / "cellar").is_symlink()


def test_only_changes_come_back(copy: Copy, root: Path) -> None:
    untouched = root / "experiments" / "unet" / "config.yaml.folds_split"
    untouched.write_text("changed by somebody else meanwhile")
    home = copy.folder / "experiments" / "unet"
    (home / "metrics").mkdir()
    (home / "metrics" / "metrics-0.0.csv").write_bytes(b"epoch\r\n0\r\n")
    (home / "weights" / "last-0.0.state").write_text("of the next epoch")
    (home / ".metrics.csv.77.part").write_text("half")
    (copy.folder / "common.yaml").write_text("is nobody's to change")
    copy.send()
    there = root / "experiments" / "unet"
    assert (there / "metrics" / "metrics-0.0.csv").read_bytes() == b"epoch\r\n0\r\n"
    assert (there / "weights" / "last-0.0.state").read_text() == "of the next epoch"
    assert untouched.read_text() == "changed by somebody else meanwhile"
    assert not (there / ".metrics.csv.77.part").exists()
    assert (root / "common.yaml").read_text() == "common.yaml"


def test_what_a_job_takes_away_is_taken_away(copy: Copy, root: Path) -> None:
    newer = root / "experiments" / "unet" / "weights" / "last-1.0.state"
    newer.write_text("of another fold, trained elsewhere")
    (copy.folder / "experiments" / "unet" / "weights" / "last-0.0.state").unlink()
    copy.send()
    assert not (root / "experiments" / "unet" / "weights" / "last-0.0.state").exists()
    assert newer.exists()


def test_changes_come_back_in_the_order_they_were_made(root: Path, tmp_path: Path) -> None:
    written: list[str] = []

    class Watched(Depot):
        def write(self, name: str, content: bytes) -> None:
            written.append(Path(name).name)
            super().write(name, content)

    copy = Copy(Watched(root, ()), str(root), "experiments/unet", tmp_path)
    copy.fetch()
    home = tmp_path / "experiments" / "unet"
    for second, name in enumerate(("z.weights", "m.state", "a.csv")):
        (home / name).write_text(name)
        import os

        os.utime(home / name, ns=(second, second))
    copy.send()
    assert written == ["z.weights", "m.state", "a.csv"]
    copy.send()
    assert len(written) == 3


def test_a_folder_that_does_not_exist_yet(root: Path, tmp_path: Path) -> None:
    copy = Copy(Depot(root, ()), str(root), "experiments/new/0", tmp_path)
    copy.fetch()
    (tmp_path / "experiments" / "new" / "0" / "summary.yaml").write_text("done")
    copy.send()
    assert (root / "experiments" / "new" / "0" / "summary.yaml").read_text() == "done"


def test_paths_in_arguments_are_moved_and_those_in_results_moved_back(copy: Copy, root: Path) -> None:
    arguments = {
        "config": str(root / "experiments" / "unet" / "config.yaml"),
        "project": str(root),
        "overrides": [f"weights={root}/x", "lr=1"],
        "cache": f"{root}-cache",
        "options": {"resume": False, "folds": (0, 1)},
    }
    moved = copy.moved(arguments)
    assert moved == {
        "config": f"{copy.folder}/experiments/unet/config.yaml",
        "project": str(copy.folder),
        "overrides": [f"weights={root}/x", "lr=1"],
        "cache": f"{root}-cache",
        "options": {"resume": False, "folds": [0, 1]},
    }
    assert copy.restored([f"results in {copy.folder}/experiments/unet", {"a": 1.5}]) == [
        f"results in {root}/experiments/unet",
        {"a": 1.5},
    ]


@pytest.mark.parametrize("name", ["../other/file", "/etc/passwd", "experiments/../../x"])
def test_nothing_outside_is_touched(name: str, root: Path) -> None:
    depot = Depot(root, ())
    for ask in (depot.read, depot.remove, depot.names):
        with pytest.raises(ArtifactError, match="outside"):
            ask(name)
    with pytest.raises(ArtifactError, match="outside"):
        depot.write(name, b"")


def test_a_file_gone_before_it_is_read(root: Path) -> None:
    assert Depot(root, ()).read("common.yml") is None
