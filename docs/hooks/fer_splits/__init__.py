import numpy as np
from fer_core.plugin import FerError, SplitSpec, hookimpl


def leave_group_out(dataset, roles, seed, group):
    tested = (dataset.table["group"] == group).to_numpy()
    if not tested.any():
        raise FerError(f"{dataset.name} has no group {group!r}: see the column group of its table")
    return np.flatnonzero(~tested), np.array([], int), np.flatnonzero(tested)


@hookimpl
def fer_splits():
    return [
        SplitSpec(
            name="leave-group-out",
            divide=leave_group_out,
            form="GROUP",
            summary="One group is the test part",
        )
    ]
