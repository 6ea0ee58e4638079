from fer_core.plugin import hookimpl


@hookimpl
def fer_devices():
    return {"xpu": "my_plugin.devices:Xpu"}
