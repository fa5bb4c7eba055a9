"""Makes a folder of distinct, realistic JPEG photographs for the import bench.

    python data/make/photos.py FOLDER [COUNT]

Each is a crop of one of the real photographs that scikit-image and scikit-learn
ship, with its own place, size, mirroring and exposure, stored as the cameras and
web sites do: 4:2:0, quality 80 to 95, 320 to 500 pixels wide. One folder a
photograph, so that the set imports as it is. Nothing of it ships: the photographs
keep their own licences.

The pictures depend only on the versions of the packages and on COUNT (20,000
when it is not given); a folder that is complete is left alone.
"""

import random
import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

import numpy as np
import skimage.data
import sklearn.datasets
from PIL import Image, ImageEnhance, ImageOps

# What their wheels hold; the others would be downloaded one by one.
SKIMAGE = ["astronaut", "chelsea", "coffee", "rocket"]
SKLEARN = ["china.jpg", "flower.jpg"]


def photographs():
    found = {name: getattr(skimage.data, name)() for name in SKIMAGE}
    found |= {Path(name).stem: sklearn.datasets.load_sample_image(name) for name in SKLEARN}
    return {name: Image.fromarray(np.asarray(pixels)[..., :3]) for name, pixels in sorted(found.items())}


def picture(photograph, chance):
    """A crop of 45 to 90 % of each side, scaled to its own size."""
    width, height = photograph.size
    share = chance.uniform(0.45, 0.9)
    crop = (int(width * share), int(height * share))
    left, top = (chance.randint(0, whole - part) for whole, part in zip(photograph.size, crop))
    wide = chance.randint(320, 500)
    size = (wide, int(wide * chance.uniform(0.7, 0.85)))
    out = photograph.resize(size, Image.Resampling.LANCZOS, (left, top, left + crop[0], top + crop[1]))
    if chance.random() < 0.5:
        out = ImageOps.mirror(out)
    return ImageEnhance.Brightness(out).enhance(chance.uniform(0.7, 1.3))


def write(folder, numbers):
    sources = list(photographs().items())
    for number in numbers:
        chance = random.Random(number)
        name, photograph = sources[number % len(sources)]
        path = folder / name / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(photograph, chance).save(path, quality=chance.randint(80, 95), subsampling="4:2:0")


def main():
    folder = Path(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 20_000
    if len(list(folder.glob("*/*.jpg"))) >= count:
        return
    with ProcessPoolExecutor() as pool:
        parts = [range(at, min(at + 500, count)) for at in range(0, count, 500)]
        # As a list, so that an error in a part is raised here.
        list(pool.map(write, repeat(folder), parts))


if __name__ == "__main__":
    main()
