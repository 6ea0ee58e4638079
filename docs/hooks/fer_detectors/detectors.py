from fer_core.plugin import Detection


def find_faces(image):
    """In the place of any function: left, top, width, height and score of each face."""
    height, width = image.shape[:2]
    return [(width / 4, height / 4, width / 2, height / 2, 0.9)]


class Centred:
    def __init__(self, *, threshold: float = 0.5):
        self.threshold = threshold

    def detect(self, images):
        return [[self._face(*row) for row in find_faces(image) if row[-1] > self.threshold] for image in images]

    def _face(self, left, top, width, height, score):
        return Detection(box=(left, top, left + width, top + height), score=score)
