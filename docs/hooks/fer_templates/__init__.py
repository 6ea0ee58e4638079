from fer_core.plugin import hookimpl


@hookimpl
def fer_templates():
    return {"passport": "my_plugin.templates:PASSPORT"}
