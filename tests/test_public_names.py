from __future__ import annotations

import musket


def test_public_names_are_sorted_and_importable() -> None:
    assert musket.__all__ == sorted(musket.__all__)
    assert len(musket.__all__) == len(set(musket.__all__))
    for name in musket.__all__:
        assert getattr(musket, name) is not None, name


def test_public_names_show_up_in_dir() -> None:
    assert set(musket.__all__) <= set(dir(musket))


def test_public_names_are_documented() -> None:
    bare = [name for name in musket.__all__ if callable(getattr(musket, name)) and not getattr(musket, name).__doc__]
    assert not bare, f"without a docstring: {', '.join(bare)}"
