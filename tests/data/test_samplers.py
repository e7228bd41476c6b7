"""Draws by shares: balanced, sqrt and weighted sampling."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musket.core.errors import DataError
from musket.data.class_balance import (
    balanced_class_weights,
    class_sampling_weights,
    label_groups,
    told_weights,
)
from musket.data.head_targets import HeadTargets, by_head
from musket.data.sampling import PartSampler, Shares, drawn_order, sample_of, shard

SIX_THREE_ONE = np.eye(3, dtype=np.float32)[[0] * 6 + [1] * 3 + [2]]
SOFTMAX = ((3,), ("softmax",))


def shares_of(how: str, targets: np.ndarray = SIX_THREE_ONE, heads: tuple = SOFTMAX) -> Shares:
    return Shares(class_sampling_weights(by_head(targets, *heads), how), label_groups(by_head(targets, *heads)))


def positions(draws: Sequence[int], count: int) -> list[int]:
    return [sample_of(draw, count)[0] for draw in draws]


# ---------------------------------------------------------------------------------------------------- weights


def test_balanced_makes_classes_alike() -> None:
    weights = class_sampling_weights(by_head(SIX_THREE_ONE, *SOFTMAX), "balanced")
    assert weights == pytest.approx([1 / 18] * 6 + [1 / 9] * 3 + [1 / 3])


def test_sqrt_goes_by_the_square_root_of_the_count() -> None:
    weights = class_sampling_weights(by_head(SIX_THREE_ONE, *SOFTMAX), "sqrt")
    roots = np.sqrt([6, 3, 1])
    assert [weights[:6].sum(), weights[6:9].sum(), weights[9]] == pytest.approx(roots / roots.sum())


def test_classes_without_samples_change_nothing() -> None:
    wider = np.hstack([SIX_THREE_ONE, np.zeros((10, 2), np.float32)])
    for how in ("balanced", "sqrt"):
        assert class_sampling_weights(by_head(wider, (5,), ("softmax",)), how) == pytest.approx(
            class_sampling_weights(by_head(SIX_THREE_ONE, *SOFTMAX), how)
        )


def test_a_yes_or_no_head_has_two_classes() -> None:
    targets = np.array([[1], [0], [0], [0]], np.float32)
    weights = class_sampling_weights(by_head(targets, (1,), ("sigmoid",)), "balanced")
    assert weights == pytest.approx([1 / 2, 1 / 6, 1 / 6, 1 / 6])


@pytest.mark.parametrize("activation", ["hard_sigmoid", "an_own_one"])
def test_whatever_gives_labels_counts_as_sigmoid(activation: str) -> None:
    targets = np.array([[1, 0], [0, 0], [0, 1], [0, 1]], np.float32)
    heads, sigmoid = ((2,), (activation,)), ((2,), ("sigmoid",))
    [weights], [expected] = (balanced_class_weights(by_head(targets, *each)) for each in (heads, sigmoid))
    assert weights == pytest.approx(expected)
    assert class_sampling_weights(by_head(targets, *heads), "sqrt") == pytest.approx(
        class_sampling_weights(by_head(targets, *sigmoid), "sqrt")
    )


def test_of_several_labels_the_rarest_decides() -> None:
    # a: 4 samples, b: 2, none: 1. Rates 1/4, 1/2 and 1; rows a, a, ab, ab, none: 1/4 1/4 1/2 1/2 1, in all 2.5.
    targets = np.array([[1, 0], [1, 0], [1, 1], [1, 1], [0, 0]], np.float32)
    weights = class_sampling_weights(by_head(targets, (2,), ("sigmoid",)), "balanced")
    assert weights == pytest.approx(np.array([1 / 4, 1 / 4, 1 / 2, 1 / 2, 1]) / 2.5)
    roots = np.array([4**-0.5, 4**-0.5, 2**-0.5, 2**-0.5, 1])
    assert class_sampling_weights(by_head(targets, (2,), ("sigmoid",)), "sqrt") == pytest.approx(roots / roots.sum())


def test_several_heads_meet_in_the_middle_and_numbers_are_passed_over() -> None:
    # head 0: classes of 3 and 1 samples; head 1: yes for 2 of 4; head 2: a number
    targets = np.array([[1, 0, 1, 0.3], [1, 0, 1, 8], [1, 0, 0, -1], [0, 1, 0, 5]], np.float32)
    weights = class_sampling_weights(by_head(targets, (2, 1, 1), ("softmax", "sigmoid", "linear")), "balanced")
    first, second = np.array([1 / 6, 1 / 6, 1 / 6, 1 / 2]), np.full(4, 1 / 4)
    assert weights == pytest.approx((first + second) / 2)


def test_numbers_alone_cannot_be_balanced() -> None:
    with pytest.raises(
        DataError, match=r"balanced goes by classes.*gives numbers \(activation linear, tanh\).*weighted"
    ):
        class_sampling_weights(by_head(np.zeros((3, 2), np.float32), (1, 1), ("linear", "tanh")), "balanced")


def test_targets_must_have_the_columns_of_the_heads() -> None:
    with pytest.raises(ValueError, match="do not have the 3 columns"):
        class_sampling_weights(by_head(np.zeros((3, 2), np.float32), (2, 1), ("softmax", "sigmoid")), "balanced")


def test_no_sample_no_weight() -> None:
    assert class_sampling_weights(by_head(np.zeros((0, 3), np.float32), *SOFTMAX), "balanced").tolist() == []
    assert PartSampler([], shares=lambda part: Shares(np.ones(0), np.zeros(0, int)), count=5).order(0, 1) == []


def test_soft_targets_count_as_the_class_they_are_mostly_of() -> None:
    [(samples, classes)] = HeadTargets.of(np.array([[0.4, 0.6], [0.9, 0.1]]), "softmax").pairs()
    assert list(zip(samples, classes, strict=True)) == [(0, 1), (1, 0)]
    [(samples, classes)] = HeadTargets.of(np.array([[0.4, 0.6], [0.2, 0.1]]), "sigmoid").pairs()
    assert list(zip(samples, classes, strict=True)) == [(0, 1), (1, 2)]  # without any label: a class of its own
    assert list(HeadTargets.of(np.zeros((2, 1)), "linear").pairs()) == []


def test_groups_are_samples_of_the_same_classes() -> None:
    targets = np.array([[1, 0, 1, 0.3], [1, 0, 1, 8], [1, 0, 0, -1], [0, 1, 0, 5]], np.float32)
    groups = label_groups(by_head(targets, (2, 1, 1), ("softmax", "sigmoid", "linear")))
    assert groups[0] == groups[1]
    assert len(set(groups.tolist())) == 3
    assert label_groups(by_head(targets[:, 3:], (1,), ("linear",))).tolist() == [0, 0, 0, 0]


# ------------------------------------------------------------------------------------------------------ draws


def test_every_epoch_shows_each_class_its_share_rounded_up_or_down() -> None:
    sampler = PartSampler(range(10), shares=lambda part: _of_part(shares_of("balanced"), part), count=10)
    seen: Counter[int] = Counter()
    for epoch in range(30):
        drawn = positions(sampler.order(epoch, seed=3), 10)
        assert len(drawn) == 10
        counts = Counter(SIX_THREE_ONE[drawn].argmax(axis=1).tolist())
        assert set(counts.values()) <= {3, 4}
        assert max(Counter(position for position in drawn if position < 6).values()) == 1  # 10 / 18 of a draw each
        seen.update(drawn)
    assert [sum(seen[position] for position in group) for group in (range(6), range(6, 9), [9])] == pytest.approx(
        [100, 100, 100], abs=2
    )
    assert all(seen[position] == pytest.approx(300 / 18, abs=3) for position in range(6))


def _of_part(shares: Shares, part: Sequence[int]) -> Shares:
    return Shares(shares.weights[part], shares.groups[part])


def test_rarely_drawn_samples_take_turns() -> None:
    """Ten of 1000 samples are half of the draws; every other one still comes once in a few epochs."""
    weights = np.array([50.0] * 10 + [500 / 990] * 990)
    shares = Shares(weights, np.array([0] * 10 + [1] * 990))
    last = np.full(1000, -1)
    for epoch in range(40):
        drawn = drawn_order(range(1000), shares, 7, epoch, 1000)
        for position in positions(drawn, 1000):
            last[position] = epoch
        if epoch >= 5:
            assert (epoch - last).max() <= 5  # drawn at random, hundreds would have waited longer at some time


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 100), min_size=1, max_size=40).filter(any), st.integers(0, 500), st.integers(0, 99))
def test_as_many_draws_as_samples_each_its_share_rounded(weights: list[float], epoch: int, seed: int) -> None:
    given_weights = np.array(weights)
    size = len(weights)
    order = drawn_order(range(100, 100 + size), Shares(given_weights, np.zeros(size, int)), seed, epoch, 1000)
    assert len(order) == size
    counts = Counter(positions(order, 1000))
    wanted = given_weights / given_weights.sum() * size
    for row, share in enumerate(wanted):
        assert np.floor(share - 1e-6) <= counts[100 + row] <= np.ceil(share + 1e-6)


def test_a_sample_drawn_again_is_another_draw() -> None:
    shares = Shares(np.array([2.0, 1.0, 0.0]), np.zeros(3, int))
    order = drawn_order([4, 7, 9], shares, 0, 0, 20)
    assert sorted(order) == [4, 7, 24]
    assert sorted(sample_of(draw, 20) for draw in order) == [(4, 0), (4, 1), (7, 0)]


def test_epochs_depend_on_seed_and_number_alone() -> None:
    def sampler() -> PartSampler:
        return PartSampler(range(10), shares=lambda part: _of_part(shares_of("sqrt"), part), count=10)

    orders = [sampler().order(epoch, 5) for epoch in range(6)]
    assert len({tuple(order) for order in orders}) == 6
    resumed = sampler()
    assert [resumed.order(epoch, 5) for epoch in (5, 3)] == [orders[5], orders[3]]
    assert sampler().order(2, 6) != orders[2]


def test_devices_share_the_draws_of_one() -> None:
    sampler = PartSampler(range(10), shares=lambda part: _of_part(shares_of("balanced"), part), count=10)
    order = sampler.order(4, 2)
    parts = [shard(order, rank, 2) for rank in range(2)]
    assert [draw for pair in zip(*parts, strict=True) for draw in pair] == order
    assert len(parts[0]) == len(parts[1]) == 5


def test_negatives_are_left_out_before_shares_are_asked_for() -> None:
    asked = []

    def shares(part: Sequence[int]) -> Shares:
        asked.append(sorted(part))
        return Shares(np.ones(len(part)), np.zeros(len(part), int))

    sampler = PartSampler(range(10), "none", lambda index: index % 2 == 0, shares=shares, count=10)
    assert asked == [[0, 2, 4, 6, 8]]
    assert sorted(sampler.order(1, 1)) == [0, 2, 4, 6, 8]


# ---------------------------------------------------------------------------------------------- weights as told


def test_weights_as_the_dataset_tells() -> None:
    assert told_weights(lambda index: index / 2, [4, 1], list("abcde")).tolist() == [2, 0.5]
    assert told_weights(lambda index: np.float32(3), [0], ["a"]).tolist() == [3]


def test_weights_nobody_can_draw_by() -> None:
    names = list("abc")
    with pytest.raises(DataError, match=r"no method sample_weight\(index\).*extra_train_data"):
        told_weights(None, [0], names)
    with pytest.raises(DataError, match=r"sample 'b'.*sample_weight\(1\) is -1; it must be"):
        told_weights(lambda index: -index, [0, 1], names)
    with pytest.raises(DataError, match=r"sample 'c'.*is nan"):
        told_weights(lambda index: float("nan"), [2], names)
    with pytest.raises(DataError, match=r"sample 'a'.*sample_weight\(0\) failed: TypeError"):
        told_weights(lambda index: None, [0], names)
    with pytest.raises(DataError, match="is 0 for all 2 samples"):
        told_weights(lambda index: 0, [0, 1], names)


# --------------------------------------------------------------------------------------------- weights of losses


def test_class_weights_are_those_of_scikit_learn() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    [weights] = balanced_class_weights(by_head(SIX_THREE_ONE, *SOFTMAX))
    expected = compute_class_weight("balanced", classes=np.arange(3), y=SIX_THREE_ONE.argmax(axis=1))
    assert weights == pytest.approx(expected)
    assert weights == pytest.approx([10 / 18, 10 / 9, 10 / 3])


def test_classes_that_do_not_occur_weigh_one() -> None:
    [weights] = balanced_class_weights(by_head(np.eye(4, dtype=np.float32)[[0, 0, 0, 2]], (4,), ("softmax",)))
    assert weights == pytest.approx([4 / 6, 1, 4 / 2, 1])


def test_labels_weigh_negatives_to_positives() -> None:
    targets = np.array([[1, 0, 1, 0.5], [0, 0, 1, 3], [0, 1, 1, 3], [0, 1, 1, 3]], np.float32)
    several, number = balanced_class_weights(by_head(targets, (3, 1), ("sigmoid", "linear")))
    assert number is None
    assert several == pytest.approx([3, 1, 1])  # 3 to 1; 2 to 2; never absent
