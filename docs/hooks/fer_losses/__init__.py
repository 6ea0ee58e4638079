from fer_core.plugin import hookimpl


@hookimpl
def fer_losses():
    return {"focal": "my_plugin.losses:Focal"}
