"""Makes data/samples/products.zip and data/samples/digits.zip.

    python data/make/samples.py [--fashion-mnist DIR]

The products are the first 150 images of each class in the training file of
Fashion-MNIST; the digits are the first 40 of each class in scikit-learn's copy
of the UCI optical digits. Both keep their real pixels and size: whoever reads
them scales them up, as with any other small photo.

The bytes of a zip depend only on the source and on the versions of Pillow and
zlib: entries are sorted, dates are fixed, no attribute comes from this machine.
"""

import argparse
import gzip
import io
import struct
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

SAMPLES = Path(__file__).resolve().parent.parent / "samples"

# Where Debian's package dataset-fashion-mnist puts the four original files.
FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")

# In the order of the label numbers.
PRODUCTS = [
    "t_shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle_boot",
]
DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]

# The first date a zip can hold.
EPOCH = (1980, 1, 1, 0, 0, 0)


def read_idx(path):
    """An IDX file of unsigned bytes, as LeCun described it for MNIST."""
    raw = gzip.decompress(path.read_bytes())
    zero, kind, rank = struct.unpack_from(">HBB", raw)
    if zero != 0 or kind != 0x08:
        raise ValueError(f"{path} is not an IDX file of unsigned bytes")
    shape = struct.unpack_from(f">{rank}I", raw, 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape)


def first_of_each(images, labels, names, count):
    """{class name: its first `count` images}, which must all differ: the import
    drops exact duplicates, and the sample has to keep its round numbers."""
    chosen = {name: images[labels == label][:count] for label, name in enumerate(names)}
    flat = [image.tobytes() for group in chosen.values() for image in group]
    if len(flat) != count * len(names):
        raise ValueError("a class has too few images")
    if len(set(flat)) != len(flat):
        raise ValueError("two images are equal")
    return chosen


def png(image):
    out = io.BytesIO()
    Image.fromarray(image, mode="L").save(out, "PNG", optimize=True)
    return out.getvalue()


def write_zip(path, root, classes):
    files = {
        f"{root}/{name}/{name}-{number:04}.png": png(image)
        for name, images in classes.items()
        for number, image in enumerate(images, start=1)
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system = 3  # Unix, whatever the machine that makes it
            entry.external_attr = 0o100644 << 16
            # PNG is deflated already; a second pass would only cost time.
            archive.writestr(entry, files[name], zipfile.ZIP_STORED)
    print(f"{path.name}: {len(files)} images, {path.stat().st_size} bytes")


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--fashion-mnist", type=Path, default=FASHION_MNIST)
    source = options.parse_args().fashion_mnist

    products = first_of_each(
        read_idx(source / "train-images-idx3-ubyte.gz"),
        read_idx(source / "train-labels-idx1-ubyte.gz"),
        PRODUCTS,
        150,
    )
    write_zip(SAMPLES / "products.zip", "products", products)

    digits = load_digits()
    # 0..16 ink counts become 0..255 greys.
    greys = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    write_zip(
        SAMPLES / "digits.zip", "digits", first_of_each(greys, digits.target, DIGITS, 40)
    )


if __name__ == "__main__":
    main()
