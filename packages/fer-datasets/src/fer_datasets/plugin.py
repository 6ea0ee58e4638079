"""Entry point of the plugin: the datasets of this package, as data."""

from __future__ import annotations

from fer_core import hookimpl
from fer_core.types import DatasetSpec

from fer_datasets.specs import (
    affectnet,
    caers,
    ckplus,
    expw,
    fer2013,
    ferplus,
    folder,
    jaffe,
    rafdb,
    rafdb_compound,
    sfew,
    synthetic,
)


@hookimpl
def fer_datasets() -> tuple[DatasetSpec, ...]:
    """Specs of all datasets of this package."""
    return (
        rafdb.SPEC,
        rafdb_compound.SPEC,
        ferplus.SPEC,
        fer2013.SPEC,
        expw.SPEC,
        sfew.SPEC,
        ckplus.SPEC,
        folder.SPEC,
        synthetic.SPEC,
        affectnet.SPEC,
        caers.SPEC,
        jaffe.SPEC,
    )
