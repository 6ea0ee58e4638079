from fer_core.plugin import hookimpl


@hookimpl
def fer_samplers():
    return {"rare_first": "my_plugin.samplers:RareFirst"}
