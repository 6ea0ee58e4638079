"""The plugin: one executor."""

from fer_core.plugin import Ref, hookimpl


@hookimpl
def fer_executors() -> dict[str, Ref]:
    """`fer-run experiment --on hosts`."""
    return {"hosts": "fer_executor_hosts.hosts:Hosts"}
