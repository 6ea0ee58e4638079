from fer_core.plugin import ExperimentSpec, hookimpl


@hookimpl
def fer_experiments():
    return [ExperimentSpec(name="ten-seeds", file="my_plugin:ten_seeds.yaml", summary="Ten seeds of all")]
