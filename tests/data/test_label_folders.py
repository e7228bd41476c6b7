from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from musket.core.errors import DataError
from musket.core.types import PredictionItem
from musket.data.label_folders import ClassFolders, FolderClassificationDataSet, FolderDataSet


def picture(path: Path, value: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((3, 4, 3), value, np.uint8)).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "animals"
    for number, name in enumerate(("dog/2.png", "dog/1.JPG", "cat/1.JPG", "cat/10.webp", "eel/x.gif")):
        picture(root / name, number * 40)
    return root


class TestClassFolders:
    def test_classes_and_images_in_order(self, folder: Path) -> None:
        dataset = ClassFolders(folder)
        assert dataset.classes == ["cat", "dog", "eel"]
        assert dataset.sample_ids() == ["cat/1.JPG", "cat/10.webp", "dog/1.JPG", "dog/2.png", "eel/x.gif"]
        assert [int(item.y.argmax()) for item in dataset] == [0, 0, 1, 1, 2]
        assert dataset[0].y.dtype == bool
        assert dataset[3].x[0, 0].tolist() == [0, 0, 0]
        assert dataset.isPositive(0)
        item = PredictionItem("new.jpg", None, None, np.array([0.2, 0.3, 0.1]))
        assert dataset.encode(item) == {"image": "new.jpg", "class": "dog"}

    def test_hidden_files_and_folders_are_nothing(self, folder: Path) -> None:
        for name in (".git/x", "dog/.DS_Store", "dog/Thumbs.db", ".hidden.jpg"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).touch()
        (folder / "readme.txt").touch()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert len(ClassFolders(folder)) == 5

    def test_stray_files_are_told(self, folder: Path) -> None:
        picture(folder / "stray.jpg")
        with pytest.warns(UserWarning, match=r"animals: 1 image lies beside the class folders.*left out \(stray.jpg\)"):
            assert len(ClassFolders(folder)) == 5
        (folder / "stray.jpg").unlink()
        (folder / "dog" / "notes.txt").touch()
        with pytest.warns(UserWarning, match=r"dog: 1 file is left out, .*\(notes.txt\)"):
            assert len(ClassFolders(folder)) == 5

    def test_an_empty_class(self, folder: Path) -> None:
        (folder / "fox").mkdir()
        with pytest.raises(DataError, match=r"fox: this class has no images; fill the folder or remove it$"):
            ClassFolders(folder)
        (folder / "fox" / "list.csv").touch()
        with pytest.raises(DataError, match=r"no images, but 1 other files \(list.csv\)"):
            ClassFolders(folder)

    def test_test_data_with_the_classes_of_the_training_data(self, folder: Path) -> None:
        (folder / "fox").mkdir()
        dataset = ClassFolders(folder, classes=["fox", "eel", "dog", "cat", "ant"])
        assert [int(item.y.argmax()) for item in dataset] == [1, 2, 2, 3, 3]
        assert dataset[0].y.shape == (5,)
        with pytest.raises(DataError, match=r"folder 'eel' is none of the 3 classes"):
            ClassFolders(folder, classes=["cat", "dog", "fox"])
        with pytest.raises(DataError, match=r"'eel' is none of the 4 classes \(did you mean 'eels'\?\)"):
            ClassFolders(folder, classes=["cat", "dog", "fox", "eels"])
        with pytest.raises(DataError, match="occurs twice"):
            ClassFolders(folder, classes=["cat", "cat"])

    def test_one_level_too_high_or_too_low(self, folder: Path, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"one class folder only, 'animals'.*folders: cat, dog, eel; if those are"):
            ClassFolders(tmp_path)
        picture(tmp_path / "plants" / "ivy" / "1.png")
        with pytest.raises(DataError, match=r"no images.*It has folders: cat, dog, eel; .*give .*animals"):
            ClassFolders(tmp_path)
        with pytest.raises(DataError, match=r"no folders here, one for each class.*CategoryClassificationDataSet"):
            ClassFolders(folder / "dog")

    def test_no_such_folder(self, folder: Path) -> None:
        with pytest.raises(DataError, match="no such folder"):
            ClassFolders(folder / "gone")
        with pytest.raises(DataError, match="this is a file"):
            ClassFolders(folder / "dog" / "2.png")


class TestFormerFolders:
    def test_listed_sub_folders(self, folder: Path) -> None:
        dataset = FolderClassificationDataSet(["dog", "eel"], folder, "ImageId", "Clazz")
        assert dataset.classes == ["dog", "eel"]
        assert dataset.sample_ids() == ["1.JPG", "2.png", "x.gif"]
        assert [item.y.tolist() for item in dataset] == [[True, False], [True, False], [False, True]]
        table = dataset.encode(dataset, encode_y=True)
        assert table.to_dict("list") == {"ImageId": ["1.JPG", "2.png", "x.gif"], "Clazz": ["dog", "dog", "eel"]}

    def test_equal_names_are_told_apart_by_their_folder(self, folder: Path) -> None:
        (folder / "cat" / "10.webp").unlink()
        dataset = FolderClassificationDataSet(["dog", "cat"], folder, "ImageId", "Clazz")
        assert dataset.sample_ids() == ["cat/1.JPG", "dog/1.JPG", "2.png"]

    def test_only_the_former_kinds(self, folder: Path) -> None:
        with pytest.warns(UserWarning, match=r"not being of the kinds gif, jpeg, jpg, png \(10.webp\)"):
            assert len(FolderClassificationDataSet(["cat"], folder)) == 1

    def test_one_folder(self, folder: Path) -> None:
        dataset = FolderDataSet("dog", folder, "ImageId", "Clazz")
        assert dataset.classes == ["dog"]
        assert [item.y.tolist() for item in dataset] == [[True], [True]]

    def test_what_is_refused(self, folder: Path) -> None:
        with pytest.raises(DataError, match=r"called 'ImageId' and 'Clazz'; found 'id' and 'Clazz'"):
            FolderClassificationDataSet(["dog"], folder, "id", "Clazz")
        with pytest.raises(DataError, match=r"give different sub-folders; found \['dog', 'dog'\]"):
            FolderClassificationDataSet(["dog", "dog"], folder)
        with pytest.raises(DataError, match=r"wolf.*no such folder"):
            FolderClassificationDataSet(["dog", "wolf"], folder)
