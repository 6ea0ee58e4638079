"""ExpW: 91,793 faces in photographs from the web, each with a box."""

from fer_core.plugin import DatasetSpec

CLASSES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""In the order of the file's numbers, which start at 0."""

SPEC = DatasetSpec(
    name="expw",
    factory="fer_datasets.expw:load",
    classes=CLASSES,
    splits={},
    layouts={
        "official": """\
DIR/
  image/
    origin/               # whole pictures: join origin.7z.001, .002... and unpack
      angry_actor_104.jpg ...
  label/
    label.lst             # image face top left right bottom confidence expression""",
        "aligned": """\
DIR/
  aligned_image/          # or image/aligned_image/; one face a picture, aligned by somebody
    angry_actor_104.jpg ...
  label/
    label.lst""",
    },
    expected_counts={"": dict(zip(CLASSES, (3671, 3995, 1088, 30537, 10559, 7060, 34883), strict=True))},
    summary="ExpW: 91,793 faces in photographs from the web, seven expressions, no official split",
    licence="non-commercial research only, no redistribution; requested through the authors' page",
    homepage="http://mmlab.ie.cuhk.edu.hk/projects/socialrelation/index.html",
    group_key="image",
    options={"images": None, "crop": 1.0, "shared": "drop"},
    aliases=("expression-in-the-wild",),
)
