"""Entry point of the plugin: the datasets and experiments of this package, as data."""

from __future__ import annotations

from fer_core.plugin import DatasetSpec, ExperimentSpec, hookimpl

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


@hookimpl
def fer_experiments() -> tuple[ExperimentSpec, ...]:
    """Protocols that others evaluated models with on these datasets."""
    return (
        ExperimentSpec(
            name="fer-models",
            file="fer_datasets.experiments:fer-models.yaml",
            summary="StevenHSKim/FER-Models: eight models, six datasets, ten random 60/20/20 splits, one recipe",
        ),
        ExperimentSpec(
            name="fer-crossval",
            file="fer_datasets.experiments:fer-crossval.yaml",
            summary="StevenHSKim/FER-crossval: the same with the scripts' exceptions, and published figures",
            published="fer_datasets.experiments:fer-crossval-published.yaml",
        ),
    )
