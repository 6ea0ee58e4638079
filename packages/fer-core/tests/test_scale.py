"""Large tables and large packs fit into little memory. Each is measured in a process of its own."""

import subprocess
import sys
from textwrap import dedent

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]


def measure(code, *arguments):
    """The number that a fresh process prints."""
    command = [sys.executable, "-c", dedent(code), *map(str, arguments)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def test_a_million_rows_need_less_than_a_gibibyte():
    peak = measure("""
        from pathlib import Path
        import numpy as np, pandas as pd
        from fer_core.data.splits import make_split
        from fer_core.data.table import check_table, make_fingerprint

        class Table:
            name, classes, refused = "million", ("a", "b", "c"), {}
            ids = [f"part/{i % 1000:03d}/{i:07d}.jpg" for i in range(1_000_000)]
            split = np.array(["train"] * 9 + ["test"])[np.arange(1_000_000) % 10]
            table = pd.DataFrame({"id": ids, "label": np.arange(1_000_000) % 3, "split": split, "source": ids})

        check_table(Table)
        roles = {"train": "train", "test": "test"}
        split = make_split(Table, roles, "official+holdout", holdout=0.1, seed=0, select="last")
        assert len(split.train) + len(split.val) + len(split.test) == 1_000_000
        make_fingerprint(Table.table["id"], Table.table["label"], Table.table["source"])
        # Not ru_maxrss, which begins with what the process that started this one had.
        lines = Path("/proc/self/status").read_text().splitlines()
        print(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**20)
    """)
    assert peak < 1


def test_an_epoch_of_a_pack_that_exceeds_the_memory_allowed(tmp_path):
    """A pack of 1 GiB (one hole, no disk) is trained on by a process that may take 256 MiB more than it has."""
    grown = measure(
        """
        import json, resource, sys
        from pathlib import Path
        import numpy as np, torch
        from fer_core.data.loader import Loader
        from fer_core.data.packs.files import VERSION
        from fer_core.data.packs.open import MappedPack
        from fer_core.data.samplers import shuffle
        from fer_core.data.transforms import build_pipeline
        from fer_core.engine.devices import Cpu
        from fer_core.testing import make_preprocessing

        folder, count, image = Path(sys.argv[1]), 2**30 // 30_000, 30_000
        (folder / "pixels.bin").touch()
        with (folder / "pixels.bin").open("wb") as file:
            file.truncate(count * image)
        np.save(folder / "sizes.npy", np.full((count, 2), 100))
        np.save(folder / "offsets.npy", np.arange(count + 1) * image)
        manifest = {"version": VERSION, "dataset": "sparse", "images": count, "bytes": count * image}
        (folder / "pack.json").write_text(json.dumps(manifest))
        torch.set_num_threads(1)
        labels = np.arange(count) % 2
        loader = Loader(
            MappedPack(folder), np.arange(count), labels, batch_size=128, seed=0,
            pipeline=build_pipeline(make_preprocessing(16), [{"resize": {"size": 16}}, "normalize"]),
            sampler=shuffle(labels, 0), workers=0, device=Cpu(),
        )
        network = torch.nn.Linear(3 * 16 * 16, 2)
        optimizer = torch.optim.SGD(network.parameters(), 0.01)

        def memory(name):
            lines = Path("/proc/self/status").read_text().splitlines()
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

        sizes = []
        for number, batch in enumerate(loader.epoch(0)):
            loss = torch.nn.functional.cross_entropy(network(batch["image"].flatten(1)), batch["label"])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if number == 4:
                resource.setrlimit(resource.RLIMIT_DATA, (memory("VmData") + 2**28,) * 2)
            if number >= 4:
                sizes.append(memory("RssAnon"))
        print((max(sizes) - sizes[0]) / 2**20)
        """,
        tmp_path,
    )
    assert grown < 64  # MiB
