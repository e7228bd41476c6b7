"""Views, held to means worked out with numpy."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from musket.core.errors import MusketError
from musket.predict.views import ALL, FLIPS, HORIZONTAL, NAMED, PLAIN, View, averaged, views_of

IMAGES = torch.arange(2 * 3 * 6 * 6, dtype=torch.uint8).reshape(2, 3, 6, 6)


def dihedral(array: np.ndarray, *, flip_lr: bool = False, flip_ud: bool = False, turns: int = 0) -> np.ndarray:
    """Mirror left-right, then up-down, then turn counter-clockwise by ``turns`` quarters. A view, no copy."""
    if flip_lr:
        array = array[:, ::-1]
    if flip_ud:
        array = array[::-1]
    return np.rot90(array, turns) if turns % 4 else array


def position(images: torch.Tensor) -> torch.Tensor:
    """A network that is no friend of symmetry: the first channel, weighted by where in the frame it stands."""
    height, width = images.shape[2:]
    place = torch.arange(height * width, dtype=torch.float32).reshape(height, width)
    return images[:, :1].float() * place


def by_hand(image: np.ndarray, turns: range, mirrors: list[tuple[bool, bool]]) -> np.ndarray:
    """Mean over views of one image H x W, each turned and mirrored with numpy and brought back."""
    found = []
    for lr, ud in mirrors:
        for quarter in turns:
            seen = image[:, ::-1] if lr else image
            seen = np.rot90(seen[::-1] if ud else seen, quarter)
            scores = seen.astype(np.float64) * np.arange(seen.size).reshape(seen.shape)
            scores = np.rot90(scores, -quarter)
            scores = scores[::-1] if ud else scores
            found.append(scores[:, ::-1] if lr else scores)
    return np.mean(found, axis=0)


@pytest.mark.parametrize(
    ("choice", "turns", "mirrors"),
    [
        (False, range(1), [(False, False)]),
        ("Horizontal", range(1), [(False, False), (True, False)]),
        ("Horizontal_and_vertical", range(1), [(False, False), (True, False), (False, True), (True, True)]),
        (True, range(4), [(False, False), (True, False)]),
    ],
)
def test_mean_over_views_is_that_of_numpy(choice: object, turns: range, mirrors: list[tuple[bool, bool]]) -> None:
    found = averaged(position, views_of(choice))(IMAGES)
    for image, scores in zip(IMAGES[:, 0].numpy(), found[:, 0].numpy(), strict=True):
        np.testing.assert_allclose(scores, by_hand(image, turns, mirrors), rtol=1e-6)


def test_the_eight_views_differ_and_each_is_undone_exactly() -> None:
    seen = [view.apply(IMAGES) for view in ALL]
    assert len({images.numpy().tobytes() for images in seen}) == 8
    for view, images in zip(ALL, seen, strict=True):
        assert torch.equal(view.undo(images), IMAGES)


@pytest.mark.parametrize("view", [View(flip_lr=True), View(flip_ud=True), View(flip_lr=True, flip_ud=True, turns=3)])
def test_a_view_is_the_one_training_draws(view: View) -> None:
    image = IMAGES[0].permute(1, 2, 0).numpy()
    expected = dihedral(image, flip_lr=view.flip_lr, flip_ud=view.flip_ud, turns=view.turns)
    np.testing.assert_array_equal(view.apply(IMAGES)[0].permute(1, 2, 0), expected)


def test_images_of_16_bits_have_views() -> None:
    images = torch.from_numpy(np.arange(16, dtype=np.uint16).reshape(1, 1, 4, 4))
    np.testing.assert_array_equal(
        View(flip_lr=True, turns=1).apply(images)[0, 0], np.rot90(images[0, 0].numpy()[:, ::-1])
    )


def test_images_that_are_not_square_get_the_four_flips_and_one_warning() -> None:
    images = IMAGES[:, :, :4]
    forward = averaged(position, ALL)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("default")
        found = forward(images)
        forward(images)
    assert ["not square" in str(warning.message) for warning in told] == [True]
    assert torch.equal(found, averaged(position, FLIPS)(images))


def test_flips_alone_need_no_square_and_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert averaged(position, FLIPS)(IMAGES[:, :, :4]).shape == (2, 1, 4, 6)


def test_vectors_are_averaged_as_they_are() -> None:
    def corner(images: torch.Tensor) -> torch.Tensor:
        return images[:, :, 0, 0].float()

    mean = averaged(corner, HORIZONTAL, maps=False)(IMAGES)
    expected = (IMAGES[:, :, 0, 0].numpy() + IMAGES[:, :, 0, -1].numpy().astype(float)) / 2
    np.testing.assert_allclose(mean, expected)


def test_the_network_is_not_asked_twice_for_the_plain_view() -> None:
    assert averaged(position, PLAIN) is position


def test_a_network_that_hands_out_its_input_is_not_written_into() -> None:
    images = IMAGES.float()
    averaged(lambda seen: seen, ALL)(images)
    assert torch.equal(images, IMAGES.float())


def test_names_are_found_in_any_case_and_unknown_ones_are_refused() -> None:
    assert {views_of(name.upper()) for name in NAMED} == {HORIZONTAL, FLIPS, ALL}
    assert views_of(None) == views_of(0) == PLAIN
    assert views_of(1) == ALL
    with pytest.raises(MusketError, match=r"'Diagonal'; known are Horizontal, Horizontal_and_vertical"):
        views_of("Diagonal")
