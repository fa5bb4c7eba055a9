"""Imports a folder of photographs with Vigie and with Pillow, and compares.

    python tests/peers/import.py FOLDER_OF_BINARIES FOLDER_OF_PHOTOGRAPHS

Both read each file once, decode it, turn it upright, measure brightness, contrast,
sharpness and channel means, store its bytes under their hash, durably at the end,
and write a list of it all. Vigie goes through its agent, as a user's import does.
They take turns, twice, with an empty store each time; what is told is images a
second by the clock on all cores, and by processor time on one.
"""

import csv
import hashlib
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from multiprocessing import Pool
from pathlib import Path

from PIL import Image, ImageFilter, ImageOps, ImageStat

LAPLACIAN = ImageFilter.Kernel((3, 3), (0, 1, 0, 1, -4, 1, 0, 1, 0), scale=1, offset=128)
IMAGES = {".jpg", ".jpeg", ".png", ".webp"}


def one(job):
    """Carries one file into the store; returns its line."""
    path, store = job
    data = path.read_bytes()
    digest = hashlib.blake2b(data, digest_size=32).hexdigest()
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    # Pillow's own statistics: NumPy takes ten times as long for the means.
    means = [mean / 255 for mean in ImageStat.Stat(image).mean]
    luma = image.convert("L")
    values = ImageStat.Stat(luma)
    sharpness = ImageStat.Stat(luma.filter(LAPLACIAN)).var[0]
    folder = store / digest[:2]
    folder.mkdir(exist_ok=True)
    temporary = folder / f".{digest}.{os.getpid()}"
    temporary.write_bytes(data)
    temporary.rename(folder / digest)
    brightness, contrast = values.mean[0] / 255, values.stddev[0] / 255
    return digest, path.parent.name, *image.size, len(data), brightness, contrast, sharpness, *means


def pillow(photographs, scratch):
    """Seconds by the clock and of processors."""
    store = scratch / "store"
    store.mkdir()
    before = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    files = sorted(path for path in photographs.rglob("*") if path.suffix.lower() in IMAGES)
    with Pool() as pool, (scratch / "manifest.csv").open("w", newline="") as out:
        lines = csv.writer(out)
        jobs = ((path, store) for path in files)
        for line in pool.imap_unordered(one, jobs, chunksize=64):
            lines.writerow(line)
        out.flush()
        os.fsync(out.fileno())
        os.sync()
        pool.close()
        pool.join()
    wall = time.perf_counter() - before[1]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, cpu(after) - cpu(before[0])


def vigie(binaries, photographs, scratch):
    """Seconds by the clock and of processors, of the agent with its worker."""
    environment = dict(os.environ, XDG_RUNTIME_DIR=str(scratch), XDG_CONFIG_HOME=str(scratch))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    agent = subprocess.Popen(
        [binaries / "vigie-agent", "run", "--state", scratch / "state"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    socket = scratch / "state" / "agent.sock"
    while not socket.exists():
        if agent.poll() is not None:
            sys.exit("the agent did not start")
        time.sleep(0.05)

    def run(*arguments):
        command = [binaries / "vigie", "--agent", f"unix:{socket}", "--output", "json", *arguments]
        return json.loads(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout)

    run("projects", "create", "photos")
    begun = time.perf_counter()
    run("--project", "photos", "datasets", "import", str(photographs))
    wall = time.perf_counter() - begun
    agent.terminate()
    agent.wait()
    return wall, cpu(resource.getrusage(resource.RUSAGE_CHILDREN)) - cpu(before)


def cpu(usage):
    return usage.ru_utime + usage.ru_stime


def main():
    binaries, photographs = Path(sys.argv[1]), Path(sys.argv[2])
    count = sum(path.suffix.lower() in IMAGES for path in photographs.rglob("*"))
    runs = {"vigie": [], "pillow": []}
    for _ in range(2):
        for name, work in (("vigie", lambda s: vigie(binaries, photographs, s)), ("pillow", lambda s: pillow(photographs, s))):
            with tempfile.TemporaryDirectory(dir=photographs.parent) as scratch:
                runs[name].append(work(Path(scratch)))
            wall, processors = runs[name][-1]
            rates = f"{count / wall:.0f} images/s; {count / processors:.0f} images/s/core"
            # Of the largest process so far: Vigie is first, and its worker is the largest of its own.
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
            print(f"{name}: {wall:.1f} s, {rates}; no process above {peak} MiB", flush=True)
    best = {name: min(wall for wall, _ in found) for name, found in runs.items()}
    print(f"vigie is {best['pillow'] / best['vigie']:.2f} times as fast ({count} images, {os.cpu_count()} cores)")


if __name__ == "__main__":
    main()
