from fer_core.plugin import hookimpl


@hookimpl
def fer_schedulers():
    return {"linear": "my_plugin.schedules:linear"}
