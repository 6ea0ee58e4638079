"""`fer-run track`."""

from __future__ import annotations

from pathlib import Path

import click

from fer_core.cli.options import (
    DETECTOR_OPTION,
    component_options,
    detect_option,
    detector_override_option,
    device_option,
    head_option,
    precision_option,
)
from fer_core.errors import FerError, IncompleteError

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("video", required=False, type=click.Path(path_type=Path))
@click.option(
    "--camera", type=click.IntRange(0), metavar="N", help="Watch a camera, the first is 0, until Ctrl-C."
)
@click.option("-m", "--model", metavar="WEIGHTS", help="Weights, as those of predict.")
@head_option
@click.option("--fps", type=click.FloatRange(0, min_open=True), help="Frames a second to look at [default: all].")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="End after so many [default: all].")
@click.option(
    "--smooth",
    type=click.FloatRange(0),
    default=0.5,
    show_default=True,
    metavar="SECONDS",
    help="What was seen of a face so long ago counts half; 0: every frame for itself.",
)
@click.option("--csv", "frames", type=_FILE, metavar="FILE", help="Write a row for each face of each frame.")
@click.option("--tracks", type=_FILE, metavar="FILE", help="Write when which face had which expression, as CSV.")
@click.option(
    "--draw", "drawing", type=_FILE, metavar="FILE", help="Write the video with its faces marked, as MP4."
)
@detect_option
@detector_override_option
@device_option
@precision_option
def track(
    video: Path | None,
    camera: int | None,
    model: str | None,
    head: str | None,
    fps: float | None,
    seconds: float | None,
    smooth: float,
    frames: Path | None,
    tracks: Path | None,
    drawing: Path | None,
    detect: str,
    overrides: tuple[str, ...],
    device: str,
    precision: str,
) -> None:
    """Follow the faces of VIDEO, or of what a camera sees, and their expressions.

    Prints when which face had which expression. A video that ends early gives what could be read, and the exit
    status 1. Needs the extra `fer-core[video]`.

    \b
    fer-run track clip.mp4 -m runs/latest --fps 10 --draw marked.mp4
    fer-run track --camera 0 -m runs/latest
    """  # noqa: D301  # click reads \b
    options = component_options(overrides, DETECTOR_OPTION)
    source = video if camera is None else camera
    if source is None or (video is not None and camera is not None):
        raise FerError("name one source: a video, or a camera by --camera 0")
    from fer_core.workflows.track import track_video

    found = track_video(
        source,
        model,
        detect=detect,
        head=head,
        detector_options=options,
        device=device,
        precision=precision,
        fps=fps,
        seconds=seconds,
        smooth=smooth,
        frames=frames,
        tracks=tracks,
        drawing=drawing,
    )
    for each in found.intervals:
        span = f"{each.begin:.2f}-{each.end:.2f} s"
        click.echo(f"face {each.track}  {span}  {each.label}  {each.probability:.1%}")
    if not found.intervals:
        click.echo(f"no face in {found.frames:,} frames")
    if found.problem:
        raise IncompleteError(found.problem)
