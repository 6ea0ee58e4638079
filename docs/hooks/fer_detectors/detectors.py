from fer_core.plugin import Detection


class WholeImage:
    def detect(self, images):
        sizes = [image.shape[:2] for image in images]
        return [[Detection(box=(0, 0, width, height), score=1.0)] for height, width in sizes]
