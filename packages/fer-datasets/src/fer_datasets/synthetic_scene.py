"""One picture: a background, a head in a pose on it, then light, colour, blur and noise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from fer_core.plugin import Detection
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from fer_datasets.synthetic_canvas import Canvas, Pose, project
from fer_datasets.synthetic_face import NOSE_LIFT, draw_head, landmarks
from fer_datasets.synthetic_identity import Identity
from fer_datasets.synthetic_units import Action


class Drawn(NamedTuple):
    """A picture uint8 RGB [size, size, 3], and where its face is: the skin from the hairline to the chin."""

    pixels: NDArray[np.uint8]
    face: Detection


def sample_pose(rng: np.random.Generator) -> Pose:
    """Draws a pose as it remains after faces were found and aligned roughly."""
    yaw, pitch, roll, x, y = (rng.random(5) + rng.random(5) - 1.0).tolist()
    scale = 0.53 * rng.uniform(0.92, 1.08)
    return Pose(yaw * 0.28, pitch * 0.15, roll * 0.22, scale, 0.5 + x * 0.08, 0.43 + y * 0.08)


def draw_picture(rng: np.random.Generator, who: Identity, action: Action, size: int) -> Drawn:
    """Draws one picture.

    Nothing here but `action` knows the expression: pose, background, light and noise are drawn from `rng`
    alike for every class.

    Args:
        rng: The picture's own random numbers.
        who: The person.
        action: What the face does.
        size: Side of the picture in pixels.
    """
    fine = 2 if size >= 56 else 3
    image = _background(rng, size * fine)
    canvas = Canvas()
    gaze = rng.uniform(-0.5, 0.5), rng.uniform(-0.2, 0.2)
    draw_head(canvas, who, action, gaze)
    pose = sample_pose(rng)
    canvas.paint(image, pose)
    image = image.reduce(fine)
    if rng.random() < 0.1:
        image = image.filter(ImageFilter.BoxBlur(size / 64 * rng.uniform(0.3, 0.7)))
    pixels = _light(rng, np.asarray(image, dtype=np.float32))
    return Drawn(pixels, _place(who, action, pose, size))


def _place(who: Identity, action: Action, pose: Pose, size: int) -> Detection:
    outline, points = landmarks(who, action)
    edges = project(outline, np.zeros(len(outline)), pose, size)
    five = project(points, np.array([0, 0, NOSE_LIFT, 0, 0]), pose, size) - 0.5
    return Detection(box=(*edges.min(axis=0), *edges.max(axis=0)), score=1.0, points=five.tolist())


def _background(rng: np.random.Generator, side: int) -> Image.Image:
    """Blurred patches of random colours with a few shapes, like a room out of focus."""
    cells = int(rng.integers(1, 7))
    base = rng.uniform(30, 225, 3)
    spread = rng.uniform(0, 90)
    patches = np.clip(base + spread * rng.uniform(-1, 1, (cells, cells, 3)), 0, 255).astype(np.uint8)
    image = Image.fromarray(patches).resize((side, side), Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(0, 5))):
        left, top, wide, high, red, green, blue = rng.random(7).tolist()
        box = [left * side, top * side, (left + 0.1 + wide * 0.5) * side, (top + 0.1 + high * 0.5) * side]
        colour = (int(red * 255), int(green * 255), int(blue * 255))
        if wide > high:
            draw.rectangle(box, fill=colour)
        else:
            draw.ellipse(box, fill=colour)
    return image


def _light(rng: np.random.Generator, pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Light from one side, exposure, a colour cast and sensor noise."""
    size = len(pixels)
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    across, down = rng.uniform(-0.35, 0.35), rng.uniform(-0.25, 0.25)
    gain = rng.uniform(0.75, 1.15) * (1 + across * axis[None, :, None] + down * axis[:, None, None])
    cast = np.asarray(rng.uniform(0.9, 1.1, 3), dtype=np.float32)
    lit = pixels * (gain * cast).astype(np.float32)
    if rng.random() < 0.15:
        lit = np.repeat(lit.mean(axis=2, keepdims=True), 3, axis=2)
    noise = np.frombuffer(rng.bytes(pixels.size), dtype=np.uint8).reshape(pixels.shape)
    strength = rng.uniform(1, 8)
    lit += noise * np.float32(strength / 128) + np.float32(rng.uniform(-10, 10) - strength)
    return np.clip(lit, 0, 255).astype(np.uint8)
