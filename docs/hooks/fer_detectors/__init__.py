from fer_core.plugin import hookimpl


@hookimpl
def fer_detectors():
    return {"whole_image": "my_plugin.detectors:WholeImage"}
