"""Projects: experiments that share modules, data and defaults.

A project is a folder with ``experiments/NAME/config.yaml``, and optionally ``modules/*.py`` (code whose functions and
classes can be named in configs), ``data/`` and ``common.yaml`` (defaults for all experiments).
"""

from __future__ import annotations

import fnmatch
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from musket.artifacts.layout import CONFIG, SEED_CONFIG, Layout
from musket.artifacts.runs import is_finished
from musket.config.check import Overrides, check
from musket.config.read import Document, read
from musket.config.schema import ExperimentSpec
from musket.config.tree import Items, Scalar, place_of
from musket.core.errors import ArtifactError, ConfigError, MusketError, Problem
from musket.core.identity import examples
from musket.core.registry import nearest
from musket.experiment.vocabulary import vocabulary

COMMON = "common.yaml"
_PROJECT_MODULE = "__musket_module__"


@dataclass(frozen=True)
class Project:
    """A project folder whose modules have been imported.

    Attributes:
        root: the folder.
        names: functions and classes of its modules, by name.
    """

    root: Path
    names: Mapping[str, Any] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def experiments(self) -> Path:
        return self.root / "experiments"

    @property
    def common(self) -> Path | None:
        """The file of defaults, None when there is none."""
        path = self.root / COMMON
        return path if path.is_file() else None

    def find(self, name: str) -> Any | None:
        """A function or class of the modules, None when there is none of that name."""
        return self.names.get(name)

    def experiment_names(self) -> list[str]:
        """Every experiment, sorted. Nested folders give names with ``/``; nothing below a config is searched.

        Raises:
            ArtifactError: a folder cannot be read.
        """
        try:
            return sorted(_experiments(self.experiments))
        except OSError as error:
            raise ArtifactError(f"cannot be read: {error.strerror}", error.filename) from error

    def named(self, names: Iterable[str]) -> list[str]:
        """Experiments by name or pattern (``lr/*``; ``*`` stands for ``/``, too), in this order, each once.

        Raises:
            MusketError: no experiment is called like that, or a pattern fits none.
        """
        known = self.experiment_names()
        found: dict[str, None] = {}
        for name in names:
            fitting = [name] if name in known else fnmatch.filter(known, name)
            if not fitting:
                self.config(name)  # says what there is
            found |= dict.fromkeys(fitting or [name])
        return list(found)

    def experiment_here(self) -> str | None:
        """The experiment whose folder is the working directory, if it is one."""
        here = Path.cwd()
        if not (here / CONFIG).is_file() or not here.is_relative_to(self.experiments):
            return None
        return here.relative_to(self.experiments).as_posix()

    def is_finished(self, name: str) -> bool:
        """Whether an experiment has a summary. ``Error``, which the former framework left there, is none."""
        return is_finished(Layout(self.experiments / name / CONFIG))

    def config(self, name: str) -> Path:
        """The config of an experiment. Raises MusketError naming the nearest ones."""
        path = config_in(self.experiments / name)
        if not path.is_file():
            known = self.experiment_names()
            near = nearest(name, known) if len(known) > 1 else []
            closest = f"nearest: {', '.join(near)}; " if near else ""
            hint = f"there are: {examples(known, most=10)}" if known else f"there are none in {self.experiments}"
            raise MusketError(f"no such experiment {name!r}; {closest}{hint}")
        return path


def _experiments(folder: Path, prefix: str = "", above: tuple[Path, ...] = ()) -> Iterable[str]:
    if not folder.is_dir() or (here := folder.resolve()) in above:  # a link back to a folder above
        return
    for child in folder.iterdir():
        if (child / CONFIG).is_file():
            yield prefix + child.name
        elif child.is_dir() and not child.name.startswith("."):
            yield from _experiments(child, f"{prefix}{child.name}/", (*above, here))


def find_project(path: str | Path) -> tuple[Project | None, Path]:
    """The project an experiment belongs to, and its config.

    Args:
        path: a YAML file, a folder with ``config.yaml``, or the name of an experiment of the project the working
            directory is in.

    Returns:
        the project (None for a config that is in none), its modules imported, and the path of the config.

    Raises:
        MusketError: there is no such experiment, or a module fails.
    """
    given = Path(path)
    config = config_in(given) if given.is_dir() else given
    if not config.is_file() and given.suffix not in (".yaml", ".yml"):
        here = project_root(Path.cwd() / CONFIG) or Path.cwd()
        project = open_project(here)
        return project, project.config(str(path))
    root = project_root(config)
    return (None if root is None else open_project(root)), config


def config_in(folder: Path) -> Path:
    """The config in the folder of an experiment, or of one of its seeds."""
    config, of_seed = folder / CONFIG, folder / SEED_CONFIG
    return of_seed if of_seed.is_file() and not config.is_file() else config


def project_root(config: Path) -> Path | None:
    """The project folder of a config: the nearest parent that has ``modules``, else the parent of ``experiments``."""
    parents = config.absolute().parents
    for folder in parents:
        if (folder / "modules").is_dir():
            return folder
    return next((folder.parent for folder in parents if folder.name == "experiments"), None)


def root_here(given: Path | None = None) -> Path:
    """The project folder that is given, else that of the working directory, else the working directory itself."""
    return given or project_root(Path.cwd() / CONFIG) or Path.cwd()


def open_project(root: str | Path) -> Project:
    """Import the modules of a project.

    Raises:
        MusketError: there is no such folder; a module fails: names its file and line.
    """
    root = Path(root).absolute()
    if not root.is_dir():
        raise MusketError(f"there is no project folder {root}")
    folder = root / "modules"
    files = sorted(path for path in folder.glob("*.py") if path.stem.isidentifier() and path.stem != "__init__")
    if files:
        sys.path[:] = [str(folder), *(entry for entry in sys.path if entry != str(folder))]
    _make_way(folder)
    return Project(root, public_names([import_file(path) for path in files]))


def read_documents(config: str | Path, root: Path | None) -> tuple[Document, Document | None]:
    """A config and the defaults of its project, if there are any: configs of seeds and trials hold them already.

    Args:
        root: of the project.

    Raises:
        ConfigError: a file cannot be read.
    """
    layout = Layout(Path(config).absolute())
    common = None if root is None or layout.base != layout.folder else root / COMMON
    return read(config), None if common is None or not common.is_file() else read(common, origin=COMMON)


def load_spec(
    config: str | Path,
    *,
    project: Project | None = None,
    dialect: str | None = None,
    overrides: Overrides | None = None,
) -> ExperimentSpec:
    """Read and check a config with everything its project offers.

    Args:
        config: the YAML file.
        project: whose ``common.yaml`` and modules count; None for a config on its own.
        dialect: kind of experiment when the file's first line names none.
        overrides: ``key=value`` texts, or values by key.

    Raises:
        ConfigError: everything wrong with the config, at once; a module of ``imports`` cannot be imported.
    """
    document, common = read_documents(config, project.root if project is not None else None)
    functions = public_names(_imported([document] if common is None else [document, common]))
    names = {**functions, **(project.names if project is not None else {})}
    return check(document, dialect=dialect, vocabulary=vocabulary(names), overrides=overrides, common=common)


def public_names(modules: Iterable[ModuleType]) -> dict[str, Any]:
    """Functions and classes by name: those a module defines win over those it has from elsewhere."""
    own: dict[str, Any] = {}
    foreign: dict[str, Any] = {}
    for module in modules:
        for name, value in vars(module).items():
            if not name.startswith("_") and (inspect.isfunction(value) or inspect.isclass(value)):
                (own if value.__module__ == module.__name__ else foreign).setdefault(name, value)
    return {**foreign, **own}


def _imported(documents: Iterable[Document]) -> list[ModuleType]:
    """The modules that ``imports`` names. What is wrong with the key itself, the check says."""
    modules: list[ModuleType] = []
    for document in documents:
        entry = document.root.entries.get("imports")
        items = () if entry is None else entry.value.items if isinstance(entry.value, Items) else (entry.value,)
        for position, item in enumerate(items):
            if not isinstance(item, Scalar) or not isinstance(item.value, str):
                continue
            try:
                modules.append(importlib.import_module(item.value))
            except Exception as error:
                place = place_of(document.root, ("imports", position))
                message = f"{item.value} cannot be imported: {type(error).__name__}: {error}"
                problem = Problem(place.line, place.column, f"imports[{position}]", message, place.origin)
                raise ConfigError(document.source, [problem]) from error
    return modules


def _make_way(folder: Path) -> None:
    """Let go of what other projects have under the names of this one's modules, so that these find each other."""
    own = {path.stem for path in folder.iterdir()} if folder.is_dir() else set()
    marked = [module for module in sys.modules.values() if _PROJECT_MODULE in getattr(module, "__dict__", ())]
    elsewhere = {file.parent for module in marked if (file := _file(module)) is not None} - {folder.resolve()}
    for name in [name for name in sys.modules if name.partition(".")[0] in own]:
        file = _file(sys.modules[name])
        if file is not None and not elsewhere.isdisjoint(file.parents):
            del sys.modules[name]


def import_file(path: Path) -> ModuleType:
    """A module by file, under its plain name; under another one where a library has that name.

    Raises:
        MusketError: it fails; names the line.
    """
    taken = sys.modules.get(path.stem)
    if taken is not None and _file(taken) == path.resolve():
        vars(taken)[_PROJECT_MODULE] = True
        return taken
    name = path.stem if taken is None else f"musket_project_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    vars(module)[_PROJECT_MODULE] = True
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise MusketError(f"{_failed_at(error, path)}: {type(error).__name__}: {error}") from error
    return module


def _file(module: ModuleType) -> Path | None:
    file = getattr(module, "__file__", None)
    return None if file is None else Path(file).resolve()


def _failed_at(error: BaseException, path: Path) -> str:
    """``file, line n`` of the project's own code nearest to the error."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return f"{error.filename}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).parent == path.parent]
    return f"{own[-1].filename}, line {own[-1].lineno}" if own else str(path)
