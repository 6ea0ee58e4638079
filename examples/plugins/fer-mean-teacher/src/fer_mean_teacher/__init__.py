"""Mean teacher, a trainer that learns from images without labels, too."""

from fer_core.plugin import Ref, hookimpl


@hookimpl
def fer_trainers() -> dict[str, Ref]:
    """The trainer."""
    return {"mean_teacher": "fer_mean_teacher.trainer:MeanTeacher"}
