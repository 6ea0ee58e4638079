"""The one builder of components: it looks the name up, checks the options against the factory, and calls it.

A factory is called with what the framework gives it (`CONTRACTS`) and with the options that a configuration holds.
Its signature says which options there are, and pydantic checks each against its annotation.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fer_core import registry
from fer_core.boundary import shown
from fer_core.config.layers import show
from fer_core.errors import FerError, nearest
from fer_core.makers import Maker, named_in_notes, remember
from fer_core.options import annotation_of, fitted, in_words
from fer_core.refs import resolve
from fer_core.types import DatasetSpec, ModelSpec

Options = Mapping[str, Any]
"""Options of a component: whatever its factory takes."""
Origin = Mapping[str, str]
"""The layer that a value of the configuration came from, by dotted key (`Resolved.origin`)."""
Component = str | ModelSpec | DatasetSpec
"""A name, or the spec of a model or dataset, which need not be registered."""

_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True)
class Contract:
    """How components of a kind are made.

    Attributes:
        section: Where a configuration gives their options.
        leading: What the framework gives the factory by position, before the options.
        named: What it gives by name.
        listed: Whether the section is a list of `name` or `{name: {options}}`.
        makes: What the factory has to return, in words.
        methods: What that can do.
    """

    section: str
    leading: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    listed: bool = False
    makes: str = "an object"
    methods: tuple[str, ...] = ()


_STATE = ("state_dict", "load_state_dict")
_MODULE = ("parameters", "to", *_STATE)
CONTRACTS: Mapping[str, Contract] = {
    "models": Contract("model", ("info",), makes="a torch.nn.Module", methods=("forward", *_MODULE)),
    "datasets": Contract("data.options", ("root",)),
    "losses": Contract("loss", ("info",), makes="a Loss", methods=("forward", "after_epoch", *_MODULE)),
    "optimizers": Contract(
        "optimizer", ("params",), makes="a torch.optim.Optimizer", methods=("step", "zero_grad", *_STATE)
    ),
    "schedulers": Contract(
        "scheduler", ("optimizer",), ("total", "per_epoch"), makes="an LRScheduler", methods=("step", *_STATE)
    ),
    "samplers": Contract(
        "data.sampler", ("labels", "seed"), makes="an object with order(epoch)", methods=("order",)
    ),
    "transforms": Contract(
        "transforms", ("preprocessing",), listed=True, makes="a Transform", methods=("image", "batch")
    ),
    "callbacks": Contract(
        "callbacks",
        listed=True,
        makes="a Callback",
        methods=("on_start", "on_step", "on_evaluation", "on_end", *_STATE),
    ),
    "trainers": Contract(
        "train.trainer",
        ("setup",),
        makes="a Trainer",
        methods=("training_step", "make_optimizers", "add_module", "extra_loaders", "product_model"),
    ),
    "detectors": Contract("detector", makes="an object with detect(images)", methods=("detect",)),
    "executors": Contract("executor"),
}
"""Every kind that a factory makes. Devices and templates are what their references name, see `find_value`."""


@dataclass(frozen=True)
class Names:
    """Marks an option that names another component, which gets the options that the factory itself does not know.

    `base: Annotated[str, Names("optimizers")] = "adam", **options: Any`
    """

    kind: str


def build(
    kind: str, component: Component, options: Options, *given: Any, section: str = "", origin: Origin | None = None
) -> Any:
    """Make a component.

    Args:
        kind: `models`, `losses`, ...
        component: What to make.
        options: For its factory.
        *given: What `CONTRACTS` lists for the kind, in that order.
        section: Where the options stand, for messages; by default the section of the kind.
        origin: Where they came from, for messages.

    Raises:
        FerError: An unknown name, a factory that cannot be imported, an unknown option, one of the wrong type, a
            required one that is missing, what the factory itself raises, or a factory that returns something
            else than `CONTRACTS` says.
    """
    contract = CONTRACTS[kind]
    factory, chosen = _prepare(kind, component, options, section, origin)
    count, maker = len(contract.leading), _maker(kind, component)
    with named_in_notes():
        made = factory(*given[:count], **dict(zip(contract.named, given[count:], strict=True)), **chosen)
    lacking = [name for name in contract.methods if not callable(getattr(made, name, None))]
    if lacking or (contract.methods and isinstance(made, type)):
        found = "a class" if isinstance(made, type) else shown(made)
        without = f" without {', '.join(lacking)}" if lacking else ""
        raise FerError(f"{maker} returned {found}{without}, expected {contract.makes}: {maker.advice}")
    remember(made, maker)
    return made


def check(
    kind: str, component: Component, options: Options, section: str = "", origin: Origin | None = None
) -> None:
    """Raise what `build` would raise before it calls the factory."""
    _prepare(kind, component, options, section, origin)


def find_value(kind: str, name: str, place: str = "", origin: Origin | None = None) -> Any:
    """The device or template called `name`, which stands at `place`. Raises FerError for an unknown one.

    Devices may have an index, as in `cuda:1`.
    """
    return _find(kind, name.partition(":")[0], place, origin)


def _prepare(
    kind: str, component: Component, options: Options, section: str, origin: Origin | None
) -> tuple[Callable[..., Any], Options]:
    """The factory of a component, and its options as the annotations ask for them."""
    contract = CONTRACTS[kind]
    name = component if isinstance(component, str) else component.name
    place = section or contract.section
    factory: Callable[..., Any] = _find(kind, component, place, origin)
    try:
        parameters = inspect.signature(factory).parameters
    except (TypeError, ValueError):  # compiled callables have no signature
        return factory, options
    given = _given(contract, parameters, str(_maker(kind, component)))
    known = {key: p for key, p in parameters.items() if key not in given and p.kind in _BY_NAME}
    annotations = {key: annotation_of(parameter, factory) for key, parameter in known.items()}
    place = f"{place}.{name}" if contract.listed else place
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    chosen = dict(options)
    for key, value in options.items():
        dotted, layer = f"{place}.{key}", _layer(origin, f"{place}.{key}")
        if key in given:
            raise FerError(f"{dotted}: set by the framework, not an option of {name}{layer}: remove it")
        if key not in known and not takes_any:
            hint = nearest(key, known) if known else "it has no options: remove it"
            raise FerError(f"{dotted}: unknown option of {name}, {hint}{layer}")
        try:
            chosen[key] = fitted(value, annotations.get(key, Any))
        except (ValueError, TypeError, RecursionError):
            expected = in_words(annotations[key])
            raise FerError(
                f"{dotted} is {show(value)}{layer}, which {name} does not accept: expected {expected}"
            ) from None
    for key, parameter in known.items():
        if parameter.default is parameter.empty and key not in options:
            way = f"write {name}: {{{key}: ...}}" if contract.listed else f"set it with -o {place}.{key}=VALUE"
            raise FerError(f"{place}.{key}: missing, {name} needs it: {way}")
        for marker in getattr(annotations[key], "__metadata__", ()):
            if isinstance(marker, Names):
                others = {other: value for other, value in options.items() if other not in known}
                check(marker.kind, chosen.get(key, parameter.default), others, place, origin)
    return factory, chosen


def _maker(kind: str, component: Component) -> Maker:
    """Whose component it is; a spec need not be registered, and then is nobody's."""
    if not isinstance(component, str):
        return Maker(registry.singular(kind), component.name)
    return registry.maker(kind, component)


def _find(kind: str, component: Component, place: str, origin: Origin | None) -> Any:
    """What the component's reference names."""
    if not isinstance(component, str):
        return resolve(component.factory)
    try:
        return registry.factory(kind, component)
    except FerError as error:
        if layer := _layer(origin, f"{place}.name"):
            raise FerError(f"{error}{layer}") from error.__cause__
        raise


def _given(contract: Contract, parameters: Mapping[str, inspect.Parameter], what: str) -> frozenset[str]:
    """Names of the parameters that the framework fills in: the first ones, whatever their names, and `named`."""
    try:
        inspect.Signature(list(parameters.values())).bind_partial(
            *contract.leading, **dict.fromkeys(contract.named)
        )
    except TypeError:
        call = ", ".join((*contract.leading, *(f"{key}=..." for key in contract.named)))
        raise FerError(f"{what}: its factory cannot be called with ({call}): correct its plugin") from None
    positional = [key for key, parameter in parameters.items() if parameter.kind in _BY_POSITION]
    return frozenset((*positional[: len(contract.leading)], *contract.named))


def _layer(origin: Origin | None, dotted: str) -> str:
    """In brackets, the layer of a key or of the list or mapping that holds it; empty where it is not known."""
    while dotted and origin:
        if dotted in origin:
            return f" ({origin[dotted]})"
        dotted = dotted.rpartition(".")[0]
    return ""
