import io

import fer_core
import numpy as np
import pandas as pd
import pytest
from fer_core.testing import check_plugin, check_resume
from PIL import Image

ROWS = np.arange(90)
SPLITS = np.array(["train", "train", "train", "val", "test"])


@pytest.fixture
def root(tmp_path):
    """Dark and bright faces of nine subjects, some of unknown valence and some of unknown mood."""
    files = [io.BytesIO() for _ in ROWS]
    for row, file in zip(ROWS, files, strict=True):
        Image.new("RGB", (32, 32), (200 * (row % 2) + 20, row, 40)).save(file, "PNG")
    columns = {"label": np.array(["sadness", "happiness"])[ROWS % 2], "split": SPLITS[ROWS // 10 % 5]}
    columns |= {"subject": [f"s{row // 10}" for row in ROWS], "image": [file.getvalue() for file in files]}
    columns |= {"valence": np.where(ROWS % 3, ROWS / 90, np.nan)}
    columns |= {"mood": [None if row % 4 == 0 else ("calm", "tense")[row % 2] for row in ROWS]}
    (tmp_path / "data").mkdir()
    pd.DataFrame(columns).to_parquet(tmp_path / "data" / "faces.parquet")
    return tmp_path


def test_the_plugin_is_sound():
    check_plugin("fer-dataset-parquet")


def test_the_columns_become_labels_groups_and_extra_targets(root):
    opened = fer_core.open_dataset("parquet", root / "data")
    assert opened.classes == ("happiness", "sadness")
    assert opened.read(7).tolist() == np.full((32, 32, 3), (220, 7, 40)).tolist()
    assert opened.table["group"].tolist() == [f"s{row // 10}" for row in ROWS]
    assert opened.table["target_mood"].cat.codes.tolist()[:4] == [-1, 1, 0, 1]
    assert opened.table["target_valence"].isna().sum() == 30


def test_it_trains_resumes_and_measures_subjects(root):
    data = {"root": str(root / "data"), "input_size": 32, "batch_size": 16}
    check_resume("tinynet", "parquet", root, data=data, callbacks=[], train={"epochs": 2, "precision": "fp32"})
    assert set(fer_core.evaluate(root / "whole", device="cpu").groups) == {"s4"}


def test_without_the_file_it_says_what_to_do(tmp_path):
    with pytest.raises(fer_core.FerError, match=r"faces\.parquet is missing: give its folder"):
        fer_core.open_dataset("parquet", tmp_path)
