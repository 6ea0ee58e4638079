from fer_core.plugin import hookimpl


@hookimpl
def fer_trainers():
    return {"mean_teacher": "my_plugin.trainer:MeanTeacher"}
