import pytest
from fer_core.errors import FerError
from fer_datasets import ckplus, expw, sfew
from fer_datasets.markers import MARKERS, recognise
from fer_datasets.plugin import fer_datasets


@pytest.mark.parametrize(("name", "path"), [(name, path) for name, paths in MARKERS.items() for path in paths])
def test_every_marker_names_its_dataset(tmp_path, name, path):
    assert recognise(tmp_path) is None
    (tmp_path / path).mkdir(parents=True)
    assert recognise(tmp_path) == name
    assert name in {spec.name for spec in fer_datasets()}


@pytest.mark.parametrize("load", [ckplus.load, expw.load, sfew.load])
def test_the_folder_of_another_dataset_is_named(tmp_path, load):
    (tmp_path / "fer2013.csv").write_text("emotion,pixels,Usage\n")
    with pytest.raises(FerError, match="take the dataset fer2013, which this looks like"):
        load(tmp_path)
    (tmp_path / "fer2013new.csv").write_text("")
    with pytest.raises(FerError, match="take the dataset ferplus, which"):
        load(tmp_path)


def test_a_folder_of_its_own_kind_gets_no_such_hint(tmp_path):
    (tmp_path / "cohn-kanade-images").mkdir()
    with pytest.raises(FerError) as caught:
        ckplus.load(tmp_path)
    assert "looks like" not in str(caught.value)
