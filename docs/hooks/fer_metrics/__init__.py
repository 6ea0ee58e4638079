from fer_core.plugin import MetricSpec, hookimpl


@hookimpl
def fer_metrics():
    return [
        MetricSpec(
            name="kappa",
            measures="classes",
            function="my_plugin.metrics:kappa",
            summary="Agreement beyond chance",
        )
    ]
