"""Co-teaching, a trainer for training labels of which some are wrong."""

from fer_core.plugin import Ref, hookimpl


@hookimpl
def fer_trainers() -> dict[str, Ref]:
    """The trainer."""
    return {"co_teaching": "fer_co_teaching.trainer:CoTeaching"}
