from fer_core.plugin import hookimpl


@hookimpl
def fer_detectors():
    return {"centred": "my_plugin.detectors:Centred"}
