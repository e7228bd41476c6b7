from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from musket.config.schema import SegmentationSpec
from musket.config.values import Call
from musket.core.errors import ConfigError, MusketError
from musket.experiment.projects.project import find_project, load_spec, open_project, project_root, public_names
from musket.experiment.vocabulary import REGISTRIES, listing, vocabulary

CONFIG = "architecture: Unet\nbackbone: resnet18\nclasses: 1\nloss: dice_loss\nstages: [{epochs: 1}]\n"
CONFIG += "metrics: [binary_accuracy]\n"


@pytest.fixture(autouse=True)
def imports() -> Iterator[None]:
    """Modules and import path as they were."""
    modules, path = dict(sys.modules), list(sys.path)
    yield
    sys.path[:] = path
    for name in sys.modules.keys() - modules.keys():
        if not name.startswith("musket."):
            del sys.modules[name]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return project(tmp_path / "ships")


def project(root: Path, **modules: str) -> Path:
    for name in ("unet", "deep/fpn", "deep/er/fpn"):
        folder = root / "experiments" / name
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(CONFIG)
    (root / "experiments" / "unet" / "old").mkdir()
    (root / "experiments" / "unet" / "old" / "config.yaml").write_text(CONFIG)
    (root / "modules").mkdir()
    for name, text in modules.items():
        (root / "modules" / f"{name}.py").write_text(text)
    return root


def test_experiments_are_named_by_their_path(root: Path) -> None:
    found = open_project(root)
    assert found.experiment_names() == ["deep/er/fpn", "deep/fpn", "unet"]
    assert found.config("deep/fpn") == root / "experiments" / "deep" / "fpn" / "config.yaml"
    with pytest.raises(MusketError, match=r"no such experiment 'unte'; nearest: unet; there are: deep/er/fpn, "):
        found.config("unte")
    assert found.common is None
    assert found.data == root / "data"


def test_experiments_are_chosen_by_names_and_patterns(root: Path) -> None:
    found = open_project(root)
    assert found.named(["unet", "deep/*"]) == ["unet", "deep/er/fpn", "deep/fpn"]
    assert found.named(["*fpn", "unet", "deep/fpn"]) == ["deep/er/fpn", "deep/fpn", "unet"]
    (root / "experiments" / "a[1]").mkdir()
    (root / "experiments" / "a[1]" / "config.yaml").write_text(CONFIG)
    assert found.named(["a[1]"]) == ["a[1]"]
    with pytest.raises(MusketError, match=r"no such experiment 'wide/\*'; .*there are: .*deep/fpn"):
        found.named(["unet", "wide/*"])


def test_folders_that_cannot_be_read_are_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = Path.is_file

    def is_file(self: Path) -> bool:
        if self.parent.name == "unet":  # permissions do not hold for who runs tests as root
            raise PermissionError(13, "Permission denied", str(self))
        return usual(self)

    monkeypatch.setattr(Path, "is_file", is_file)
    with pytest.raises(MusketError, match=r"unet/config\.yaml: cannot be read: Permission denied"):
        open_project(root).experiment_names()


def test_links_back_to_a_folder_above_are_not_followed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (root / "experiments" / "unet").rename(tmp_path / "elsewhere" / "unet")
    (root / "experiments" / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "experiments" / "again").symlink_to(root / "experiments")
    (root / "experiments" / "deep" / "up").symlink_to("..")
    (tmp_path / "elsewhere" / "back").symlink_to(root / "experiments")
    assert open_project(root).experiment_names() == ["deep/er/fpn", "deep/fpn", "linked/unet"]


def test_root_is_the_nearest_parent_with_modules_else_that_of_experiments(root: Path) -> None:
    config = root / "experiments" / "deep" / "fpn" / "config.yaml"
    assert project_root(config) == root
    (root / "modules").rmdir()
    assert project_root(config) == root
    (root / "experiments" / "deep" / "modules").mkdir()
    assert project_root(config) == root / "experiments" / "deep"


def test_a_config_on_its_own_is_in_no_project(tmp_path: Path) -> None:
    (tmp_path / "alone.yaml").write_text(CONFIG)
    assert find_project(tmp_path / "alone.yaml") == (None, tmp_path / "alone.yaml")


def test_experiments_are_found_by_file_folder_and_name(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = root / "experiments" / "unet" / "config.yaml"
    for given in (config, config.parent, str(config)):
        found, path = find_project(given)
        assert found is not None
        assert (found.root, path) == (root, config)
    for here in (root, root / "experiments", root / "experiments" / "deep" / "fpn"):
        monkeypatch.chdir(here)
        found, path = find_project("unet")
        assert path.absolute() == config
    with pytest.raises(MusketError, match="no such experiment"):
        find_project("nothing_of_that_name")
    with pytest.raises(MusketError, match="no project folder"):
        open_project(root / "nowhere")


def test_modules_are_imported_and_find_each_other(tmp_path: Path) -> None:
    root = project(
        tmp_path / "a",
        aa_first="from zz_last import helper\ndef getTrain(): return helper()\nclass Ships: ...\n_hidden = len\n",
        zz_last="import math\ndef helper(): return 3\ndef _private(): ...\n",
    )
    found = open_project(root)
    assert set(found.names) == {"getTrain", "Ships", "helper"}
    assert found.find("getTrain")() == 3
    assert found.find("nothing") is None
    assert open_project(root).find("Ships") is found.find("Ships"), "a module is imported once"


def test_two_projects_may_use_the_same_module_names(tmp_path: Path) -> None:
    texts = {"own_data": "from own_tools import which\ndef getTrain(): return which()\n"}
    first = open_project(project(tmp_path / "a", own_tools="def which(): return 1", **texts))
    second = open_project(project(tmp_path / "b", own_tools="def which(): return 2", **texts))
    assert (first.find("getTrain")(), second.find("getTrain")()) == (1, 2)


def test_a_module_named_like_a_library_leaves_the_library_alone(tmp_path: Path) -> None:
    import json

    found = open_project(project(tmp_path / "a", json="def getTrain(): return 1"))
    assert found.find("getTrain")() == 1
    assert sys.modules["json"] is json


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("x = 1\nraise ValueError('no data')\n", "broken.py, line 2", "ValueError: no data"),
        ("def f(:\n", "broken.py, line 1", "SyntaxError"),
        ("import nothing_of_that_name\n", "broken.py, line 1", "ModuleNotFoundError"),
        ("\n\nimport sys\nsys.exit(3)\n", "broken.py, line 4", "SystemExit: 3"),
    ],
)
def test_a_failing_module_names_file_and_line(text: str, where: str, what: str, tmp_path: Path) -> None:
    with pytest.raises(MusketError) as caught:
        open_project(project(tmp_path / "a", broken=text))
    assert where in str(caught.value)
    assert what in str(caught.value)
    assert "broken" not in sys.modules


def test_specs_know_the_functions_of_the_project_and_of_imports(tmp_path: Path) -> None:
    root = project(tmp_path / "a", ships="def getTrain(folder): ...\n")
    (root / "common.yaml").write_text("imports: [own_library]\nbatch: 3\ndatasets: {more: {fromLibrary: []}}\n")
    (root / "modules" / "own_library.py").write_text("def fromLibrary(): ...\n")
    config = root / "experiments" / "unet" / "config.yaml"
    config.write_text(CONFIG + "dataset: {getTrain: [a]}\n")
    found, _ = find_project(config)
    spec = load_spec(config, project=found, overrides=["lr=0.5"])
    assert isinstance(spec, SegmentationSpec)
    assert (spec.batch, spec.lr, spec.dataset) == (3, 0.5, Call("getTrain", ("a",)))
    assert spec.datasets == {"more": Call("fromLibrary")}
    with pytest.raises(ConfigError, match=r"dataset.getTrian +no such dataset function; nearest: getTrain"):
        load_spec(config, project=found, overrides=["dataset={getTrian: []}"])
    with pytest.raises(ConfigError, match="no such dataset function"):
        load_spec(config)


def test_imports_that_fail_name_their_line(root: Path) -> None:
    config = root / "experiments" / "unet" / "config.yaml"
    config.write_text(CONFIG + "imports:\n  - os\n  - nothing_of_that_name\n")
    with pytest.raises(ConfigError, match=r"line 9  imports\[1\]  nothing_of_that_name cannot be imported"):
        load_spec(config)


def test_own_definitions_win_over_imported_names() -> None:
    from types import ModuleType

    first, second = ModuleType("first"), ModuleType("second")
    exec("def f(): return 1", vars(first))
    vars(second)["f"] = vars(first)["f"]
    vars(second)["g"] = len
    assert public_names([second, first]) == {"f": vars(first)["f"]}


def test_the_vocabulary_holds_every_registry_and_the_functions_given() -> None:
    def SimplePNGMaskDataSet(): ...

    words = vocabulary({"SimplePNGMaskDataSet": SimplePNGMaskDataSet})
    assert words.datasets.load("simplepngmaskdataset") is SimplePNGMaskDataSet
    assert "DirectoryDataSet" in words.datasets
    assert "dice_loss" in words.metrics, "every loss is a metric"
    assert (words.direction("val_dice"), words.direction("val_loss"), words.direction("mine")) == ("max", "min", None)


def test_everything_that_can_be_named_has_a_line_of_its_own() -> None:
    kinds = listing()
    assert [registry.plural for registry in REGISTRIES] == list(kinds)[:-1]
    built_in = [entry for registry in REGISTRIES for entry in registry.entries() if isinstance(entry.target, str)]
    assert [entry.name for entry in built_in if not entry.summary] == []
    listed = {(name, summary) for entries in kinds.values() for name, summary, _ in entries}
    assert {(entry.name, entry.summary) for entry in built_in} <= listed
    assert ("resnet34", "", []) in kinds["backbones"]


def test_generic_parse_takes_a_file_a_folder_or_a_name(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from musket_core import generic

    (root / "common.yaml").write_text("batch: 3\n")
    (root / "extra.yaml").write_text("lr: 0.5\nclasses: 7\n")
    monkeypatch.chdir(root)
    config = root / "experiments" / "deep" / "fpn" / "config.yaml"
    for given in (config, config.parent, "deep/fpn"):
        spec = generic.parse(given).spec
        assert (spec.batch, spec.lr, spec.classes) == (3, None, 1)
        spec = generic.parse(given, extra="extra.yaml").spec
        assert (spec.batch, spec.lr, spec.classes) == (3, 0.5, 1)


def test_packages_of_two_projects_may_have_the_same_name(tmp_path: Path) -> None:
    found = []
    for number in (1, 2):
        root = project(
            tmp_path / str(number), own_uses="from own_package.inner import number\ndef getTrain(): return number\n"
        )
        package = root / "modules" / "own_package"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "inner.py").write_text(f"number = {number}\n")
        found.append(open_project(root).find("getTrain")())
    assert found == [1, 2]
