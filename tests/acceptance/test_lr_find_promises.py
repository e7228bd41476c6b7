"""The learning-rate finder on a real experiment, in Python and on the command line."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import pytest
import toy

from musket.cli.main import main
from musket.core.errors import ArtifactError, MusketError, TrainingError

mpl.use("agg")


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_s34_lr_find(tmp_path: Path) -> None:
    import matplotlib.pyplot as plt

    dataset = toy.Drawn(24)
    cfg = toy.experiment(tmp_path, batch=1, clipnorm=1.0)
    cfg.fit(dataset)
    before = everything(tmp_path)
    finder = cfg.lr_find(dataset, start_lr=1e-5, end_lr=1.0, epochs=5)
    assert everything(tmp_path) == before
    factor = (1.0 / 1e-5) ** (1 / (5 * 10))  # 20 samples outside the holdout, two folds
    assert finder.lrs[0] == 1e-5
    assert len(finder.lrs) == len(finder.losses) == 50 or finder.stopped
    assert [b / a for a, b in zip(finder.lrs, finder.lrs[1:], strict=False)] == pytest.approx(
        [factor] * (len(finder.lrs) - 1)
    )
    assert finder.best_loss == min(finder.losses)
    assert finder.lrs[0] < finder.suggestion < finder.lrs[-1]
    for draw in (
        lambda: finder.plot_loss(n_skip_beginning=20, n_skip_end=5),
        lambda: finder.plot_loss_change(sma=20, n_skip_beginning=20, n_skip_end=5, y_lim=(-0.01, 0.01)),
    ):
        plt.figure()
        draw()
        assert len(plt.gca().lines) == 1
        assert plt.gca().get_xscale() == "log"
        plt.close()


def test_s34_the_search_is_the_same_every_time_and_depends_on_stage_and_fold(tmp_path: Path) -> None:
    stages = [{"epochs": 1}, {"epochs": 1, "loss": "dice_loss"}]
    cfg = toy.experiment(tmp_path, batch=2, stages=stages)
    dataset = toy.Drawn()

    def search(**options) -> list[float]:
        return cfg.lr_find(dataset, epochs=2, **options).losses

    first = search()
    assert search() == first
    assert search(foldsToExecute=[1, 0]) != first
    assert len(search(subsample=0.5)) < len(first)
    with pytest.raises(ArtifactError, match="stage 1 starts from the best weights of stage 0"):
        search(stage=1)
    cfg.fit(dataset)
    assert search(stage=1) != first


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"start_lr": 0}, "start_lr must be above 0"),
        ({"start_lr": 1.0, "end_lr": 0.1}, "below end_lr; found 1 and 0.1"),
        ({"epochs": 0}, "epochs must be 1 or more"),
        ({"subsample": 0}, "subsample is a share"),
        ({"foldsToExecute": [7]}, "there is no fold 7"),
        ({"stage": 3}, "there is no stage 3"),
    ],
)
def test_s34_requests_that_cannot_be_meant(options: dict, said: str, tmp_path: Path) -> None:
    with pytest.raises(MusketError, match=said):
        toy.experiment(tmp_path).lr_find(toy.Drawn(), **options)


def test_s34_fewer_samples_than_a_batch(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="fewer than one batch of 100"):
        toy.experiment(tmp_path, batch=100).lr_find(toy.Drawn())


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "discs"
    folder = root / "experiments" / "small"
    folder.mkdir(parents=True)
    toy.register_small_net()
    toy.write_discs(root / "data", 16)
    dataset = 'dataset:\n  SimplePNGMaskDataSet: ["images", "masks"]\n'
    (folder / "config.yaml").write_text(toy.CONFIG + dataset)
    monkeypatch.chdir(root)
    return root


def test_s34_lr_find_on_the_command_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--epochs", "4", "--fold", "1", "--start-lr", "1e-4", "--output", "found.png"]
    assert main(["lr-find", "small", "batch=1", *arguments]) == 0
    said = capsys.readouterr().out
    assert "lr 1.0e-04 to" in said
    assert "picture: found.png" in said
    line = next(line for line in said.splitlines() if line.startswith("  lr: "))
    assert 1e-4 < float(line.removeprefix("  lr: ")) < 1
    assert (project / "found.png").stat().st_size > 10_000
    assert not (project / "experiments" / "small" / "weights").exists()


def test_s34_the_only_experiment_of_a_project_need_not_be_named(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["--project", str(project)], []):
        assert main(["lr-find", *arguments, "--fold", "9"]) == 2
        assert "there is no fold 9" in capsys.readouterr().err
    (project / "experiments" / "other").mkdir()
    (project / "experiments" / "other" / "config.yaml").write_text(toy.CONFIG)
    assert main(["lr-find"]) == 2
    assert "there are: other, small" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["smal"], "no such experiment 'smal'; there are: small"),
        (["small", "--name", "small"], "name one experiment"),
        (["small", "--output", "x.foo"], "x.foo: no such format of pictures"),
        (["small", "--start-lr", "2"], "below end_lr; found 2 and 1"),
        (["small", "--stage", "4"], "there is no stage 4"),
        (["small", "lr=-1"], "lr"),
    ],
)
def test_s34_mistakes_get_one_clear_line(
    arguments: list[str], said: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lr-find", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not list(project.glob("*.png"))
