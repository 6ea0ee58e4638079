from fer_core.plugin import hookimpl


@hookimpl
def fer_callbacks():
    return {"give_up": "my_plugin.callbacks:GiveUp"}
