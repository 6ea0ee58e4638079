from fer_core.plugin import hookimpl


@hookimpl
def fer_executors():
    return {"slurm": "my_plugin.slurm:Slurm"}
