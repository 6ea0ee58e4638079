from fer_core.plugin import CommandSpec, hookimpl


@hookimpl
def fer_commands():
    return [CommandSpec(name="greet", ref="my_plugin.cli:greet", help="Say hello")]
