from __future__ import annotations

from collections.abc import Iterator

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none; torch is asked only when such a test was collected."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(autouse=True, scope="session")
def decoded_images_are_kept_among_the_tests_own_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is written into the cache folder of whoever runs the tests; programs they start inherit it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
            patch.setenv(name, str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def own_parts_are_forgotten() -> Iterator[None]:
    """Parts that a test registers end with it, so that no test depends on those before it."""
    from musket.data.catalogue import dataset_augmenters, extra_train
    from musket.experiment.custom import custom_objects
    from musket.experiment.vocabulary import REGISTRIES
    from musket.models.catalogue import custom_models
    from musket.models.classifier_catalogue import classifier_models

    before = [set(registry.names()) for registry in REGISTRIES]
    yield
    for own in (custom_objects, custom_models, classifier_models, extra_train, dataset_augmenters):
        own.clear()
    for registry, known in zip(REGISTRIES, before, strict=True):
        for name in set(registry.names()) - known:
            registry.remove(name)


@pytest.fixture(autouse=True, scope="module")
def parts_of_a_module_are_forgotten() -> Iterator[None]:
    """The same for what fixtures of a whole module register."""
    from musket.experiment.vocabulary import REGISTRIES

    before = [set(registry.names()) for registry in REGISTRIES]
    yield
    for registry, known in zip(REGISTRIES, before, strict=True):
        for name in set(registry.names()) - known:
            registry.remove(name)
