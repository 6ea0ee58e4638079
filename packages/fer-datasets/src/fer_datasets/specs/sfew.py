"""SFEW 2.0: frames of films with seven expressions."""

from fer_core.plugin import DatasetSpec

CLASSES = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
"""The order of the folders by name."""

SPEC = DatasetSpec(
    name="sfew",
    factory="fer_datasets.sfew:load",
    classes=CLASSES,
    # The labels of Test are withheld, so Val is reported by convention.
    splits={"Train": "train", "Val": "test"},
    layouts={
        "official": """\
DIR/                              # or DIR/SFEW_2.0/
  Train/
    Angry/ Disgust/ Fear/ Happy/ Neutral/ Sad/ Surprise/
      Airheads_000519240_00000005.png ...          # film, time, frame
    Train_Aligned_Faces/          # 143 x 181 crops, with the same seven folders
  Val/                            # the same; Val_Aligned_Faces or Val_Aligned_Faces_new
  Test/                           # without labels: not read""",
        "class folders": """\
DIR/
  Train/
    Angry/ Disgust/ ...           # crops of one's own
  Val/""",
        "csv": """\
DIR/
  sfew_2.0_labels.csv             # image_name,label,emotion,original_split
  sfew2.0_images/
    image_000000.png ...          # films unknown""",
    },
    expected_counts={
        "Train": dict(zip(CLASSES, (178, 66, 98, 198, 150, 172, 96), strict=True)),
        "Val": dict(zip(CLASSES, (77, 23, 47, 73, 86, 73, 57), strict=True)),
    },
    summary="SFEW 2.0: 958 + 436 labelled frames of films, seven expressions; Val has the role of a test part",
    licence="signed licence of a permanent member of staff; frames of commercial films, no redistribution",
    homepage="https://users.cecs.anu.edu.au/~few_group/AFEW.html",
    group_key="film",
    options={"images": None},
    aliases=("sfew2", "sfew2.0"),
)
