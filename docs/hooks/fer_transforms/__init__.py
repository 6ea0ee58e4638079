from fer_core.plugin import hookimpl


@hookimpl
def fer_transforms():
    return {"invert": "my_plugin.transforms:Invert"}
