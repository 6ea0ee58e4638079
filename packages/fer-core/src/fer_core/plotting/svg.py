"""Matplotlib's SVG, made small and fit to stand in an HTML page with others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from fer_core.plotting.palette import variables

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

FONT = "'DejaVu Sans',system-ui,sans-serif"
"""That by which matplotlib measured the text comes first."""
LARGER = 1.5
"""How much a chart grows where a page has room."""
_HREF = "{http://www.w3.org/1999/xlink}href"
_NUMBER = re.compile(r"-?\d+\.\d{2,}")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_COLOUR = re.compile("#[0-9a-f]{6}")


def compact_svg(drawn: bytes, name: str, title: str, description: str, *, style: str = "") -> str:
    """Name a drawing for screen readers, take its colours from CSS variables, and drop unused elements.

    Args:
        drawn: As matplotlib wrote it.
        name: Unique in the page; begins all ids.
        title: Its accessible name.
        description: What it shows.
        style: CSS of a file of its own; without it, the page has the variables of `palette.theme`.
    """
    root = ElementTree.fromstring(drawn)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    kept = _referenced(root)
    numbers = {old: f"{name}-{number}" for number, old in enumerate(sorted(kept), 1)}
    for element in root.iter():
        _tidy(element, numbers)
    _prune(root)
    width = float(root.attrib["viewBox"].split()[2])
    head = {
        "class": "chart",
        "viewBox": root.attrib["viewBox"],
        "role": "img",
        "aria-labelledby": f"{name}-t {name}-d",
        "font-family": FONT,
        "style": f"max-width:{LARGER * width:.0f}px",
        "stroke-linejoin": "round",
    }
    root.attrib.clear()
    root.attrib.update(head)
    told = [_text("title", title, id=f"{name}-t"), _text("desc", description, id=f"{name}-d")]
    if style:
        root.attrib |= {"xmlns": "http://www.w3.org/2000/svg"}
        ground = ElementTree.Element("rect", {"width": "100%", "height": "100%", "fill": "var(--surface)"})
        told += [_text("style", style), ground]
    root[:0] = told
    return ElementTree.tostring(root, encoding="unicode")


def _text(tag: str, text: str, **attributes: str) -> Element:
    element = ElementTree.Element(tag, attributes)
    element.text = text
    return element


def _referenced(root: Element) -> set[str]:
    found = {element.attrib[_HREF][1:] for element in root.iter() if _HREF in element.attrib}
    return found | {name for element in root.iter() for name in _REFERENCE.findall(element.get("clip-path", ""))}


def _tidy(element: Element, names: dict[str, str]) -> None:
    """Round coordinates, rename ids, and turn colours into variables."""
    if element.tag != "text":
        element.text = None
    element.tail = None
    of = element.attrib
    if "id" in of and (name := names.get(of.pop("id"))):
        of["id"] = name
    if _HREF in of:
        of["href"] = "#" + names[of.pop(_HREF)[1:]]
    if "clip-path" in of:
        of["clip-path"] = _REFERENCE.sub(lambda found: f"url(#{names[found[1]]})", of["clip-path"])
    if of.get("transform", "").startswith("rotate(-0 "):
        del of["transform"]
    for key in {"d", "x", "y", "width", "height", "transform"} & of.keys():
        of[key] = _NUMBER.sub(lambda found: f"{float(found[0]):.1f}", " ".join(of[key].split()))
    if "style" in of:
        of["style"] = _style(of["style"])


def _style(text: str) -> str:
    rules = [rule.partition(":") for rule in text.split(";") if not rule.strip().startswith("font-family")]
    kept = ";".join(f"{key.strip()}:{value.strip()}" for key, _, value in rules)
    known = variables()
    return _COLOUR.sub(lambda found: known.get(found[0], found[0]), kept)


def _prune(parent: Element) -> None:
    """Remove what draws nothing, and groups that group nothing."""
    children: list[Element] = []
    for child in list(parent):
        _prune(child)
        if child.tag in ("metadata", "style") or child.get("style") == "fill:none":
            continue
        if child.tag in ("g", "defs") and not len(child):
            continue
        children += list(child) if child.tag == "g" and not child.attrib else [child]
    parent[:] = children
