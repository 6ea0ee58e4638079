"""Positions of the five facial points in the images of DDAMFN++: one template for each pose.

Five templates, from left to right profile, keep a turned face from being warped to a frontal one. The authors'
points come from RetinaFace with a MobileNet of width 0.25, and are truncated to whole pixels.
"""

from __future__ import annotations

from fer_core.plugin import Template

DDAMFN_PP = Template(
    poses=(
        ((55.55, 49.477), (62.116, 49.339), (38.075, 70.237), (55.017, 92.262), (61.466, 92.979)),
        ((47.241, 48.598), (72.887, 49.54), (40.555, 71.067), (47.423, 93.643), (71.236, 94.353)),
        ((33.566, 40.559), (78.321, 40.559), (55.338, 64.967), (38.479, 90.276), (73.591, 90.276)),
        ((39.516, 49.54), (65.162, 48.598), (71.849, 71.067), (41.167, 94.353), (64.98, 93.643)),
        ((50.225, 49.339), (56.791, 49.477), (74.266, 70.237), (50.875, 92.979), (65.317, 92.262)),
    ),
    size=112,
    source="the alignment script of https://github.com/SainingZhang/DDAMFN, folder DDAMFN++",
    whole_pixels=True,
)
"""Faces that look far left, left, ahead, right and far right."""
