"""FERPlus's votes and FER2013's labels of the same faces, by the model of `docs/how-to/several-heads.md`."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import fer_core
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from fabricated_ferplus import SPLITS, UNKNOWN, write_ferplus
from fer_core import registry
from fer_core.cli.main import main
from fer_core.losses.multi_head import target_term
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_datasets.specs.fer2013 import CLASSES as EMOTIONS
from sklearn import metrics as sklearn

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "several-heads.md"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run of the page's model, with its loss."""
    root = tmp_path_factory.mktemp("heads")
    write_ferplus(root / "data")
    text = PAGE.read_text(encoding="utf-8")
    names: dict[str, type] = {}
    exec(re.search(r"```python\n(.*?)```", text, re.DOTALL)[1], names)  # the page's own code
    spec = replace(
        registry.find("models", "timm"), name="two_heads", factory=names["TwoHeads"], recipes={}, aliases=()
    )
    loss = re.search(r"```yaml\n(loss: .*?)\n```", text)[1]
    options = ["data.input_size=32", "data.batch_size=16", "optimizer={name: adamw, lr: 0.01}", "train.epochs=4"]
    options += ["callbacks=[]", f"loss={loss.removeprefix('loss: ')}", "run.dir=" + str(root / "runs" / "a")]
    options += ["train.precision=fp32", "data.options={mode: cross_entropy}"]
    options += ["data.classes=[neutral, happiness]"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_CACHE", str(root / "cache"))
        entry = Entry("two_heads", spec, Plugin("page", "page", "0"))
        patch.setitem(load_plugins().entries["models"], "two_heads", [entry])
        words = [word for option in options for word in ("-o", option)]
        given = ["train", "two_heads", "ferplus", "--data", str(root / "data"), "--device", "cpu", *words]
        done = CliRunner().invoke(main, given)
        assert done.exit_code == 0, done.output
        yield root / "runs"


def test_both_heads_are_in_result_report_and_leaderboard_over_the_present_targets(trained) -> None:
    test = json.loads((trained / "a" / "result.json").read_text())["best"]["metrics"]["test"]
    labels = pd.read_csv(trained / "a" / "predictions-test.csv")
    heads = pd.read_csv(trained / "a" / "heads-test.csv")
    assert test["accuracy"] == sklearn.accuracy_score(labels["label"], labels["predicted"]) > 0.9
    present = heads[heads["target_fer2013"].notna()]
    absent = heads[heads["target_fer2013"].isna()]["id"].tolist()
    assert absent == [f"test{number:03d}" for number in range(0, SPLITS["test"], UNKNOWN)]
    head = test["heads"]["fer2013"]
    truth, predicted = present["target_fer2013"], present["head_fer2013"]
    assert head["count"] == len(present) == 24
    assert head["figures"]["accuracy"] == sklearn.accuracy_score(truth, predicted) > 0.6
    f1 = sklearn.f1_score(truth, predicted, average="macro", zero_division=0)
    assert head["figures"]["macro_f1"] == pytest.approx(f1, rel=1e-12)
    shown = f"{100 * head['figures']['accuracy']:.2f}"
    page = (trained / "a" / "report.html").read_text()
    section = page[page.index("Head for the target fer2013 on ferplus") :]
    assert "24 of 32" in section
    assert shown in section[: section.index("</table>")]
    board = CliRunner().invoke(main, ["leaderboard", str(trained)]).stdout
    assert "Head for the target fer2013 on ferplus" in board
    assert f"| two_heads | 24 of 32 | {shown} |" in board


def test_what_is_predicted_for_a_missing_target_changes_neither_metrics_nor_loss(trained) -> None:
    found = fer_core.evaluate(trained / "a", device="cpu", precision="fp32")
    head = found.heads["fer2013"]
    missing = ~head.present
    assert missing.sum() == 8
    other = head.predicted.copy()
    other[missing] = np.eye(len(EMOTIONS), dtype=np.float32)[EMOTIONS.index("fear")]
    assert replace(head, predicted=other).measure("fer2013") == head.measure("fer2013")
    wrong = head.truth.copy()
    wrong[np.flatnonzero(head.present)[0]] = EMOTIONS.index("disgust")
    assert replace(head, truth=wrong).measure("fer2013") != head.measure("fer2013")
    truth = torch.tensor(head.truth)
    terms = [target_term(torch.tensor(scores), truth) for scores in (head.predicted, other)]
    assert torch.equal(*terms)
    assert terms[0] > 0
