"""What transformers' Pillow processors make of real photographs and drawings, for test/peers/pictures.peer.ts.

    python bench/peers/pictures.py --cache FOLDER [--out FOLDER DRAWING.png ...]

Keeps scikit-learn's pictures in CACHE. Writes OUT/cases.json, with the path of a picture and settings each, and OUT/<number>.bin: pixel_values in float32.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import zipfile

import numpy as np
from transformers import BitImageProcessorPil, CLIPImageProcessorPil, SiglipImageProcessorPil, ViTImageProcessorPil
from transformers.image_utils import load_image

SCIKIT_LEARN = "1.8.0"
PHOTOGRAPHS = ("china.jpg", "flower.jpg")
FILES = {**{name: f"sklearn/datasets/images/{name}" for name in PHOTOGRAPHS}, "digits.csv.gz": "sklearn/datasets/data/digits.csv.gz"}
KINDS = {"ViTImageProcessor": ViTImageProcessorPil, "BitImageProcessor": BitImageProcessorPil, "CLIPImageProcessor": CLIPImageProcessorPil, "SiglipImageProcessor": SiglipImageProcessorPil}


def photographs(cache: pathlib.Path) -> list[pathlib.Path]:
    """Two that scikit-learn comes with, and its digits beside them; its package is not installed."""
    cache.mkdir(parents=True, exist_ok=True)
    if not all((cache / name).exists() for name in FILES):
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--disable-pip-version-check", "--only-binary=:all:"]
        subprocess.run([*pip, "-d", str(cache), f"scikit-learn=={SCIKIT_LEARN}"], check=True, stdout=sys.stderr)
        for wheel in cache.glob("scikit_learn-*.whl"):
            with zipfile.ZipFile(wheel) as files:
                for name, inside in FILES.items():
                    (cache / name).write_bytes(files.read(inside))
            wheel.unlink()
    return [cache / name for name in PHOTOGRAPHS]


def cases(is_photograph: bool) -> list[dict]:
    """Made smaller and larger, by every kernel, in the shapes of each processor."""
    small, large = (224, 720) if is_photograph else (24, 150)
    kernels = [
        {"image_processor_type": "ViTImageProcessor", "size": {"height": side, "width": side + 10}, "resample": kernel} for kernel in range(6) for side in (small, large)
    ]
    return kernels + [
        {"image_processor_type": "ViTImageProcessor"},
        {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 256}},
        {"image_processor_type": "CLIPImageProcessor"},
        {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 200}, "crop_size": 230},
        {"image_processor_type": "SiglipImageProcessor", "size": {"height": 384, "width": 384}},
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cache", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("drawings", nargs="*")
    args = parser.parse_args()
    paths = photographs(args.cache)
    if args.out is None:
        return
    written = []
    for path, is_photograph in [*((path, True) for path in paths), *((path, False) for path in args.drawings)]:
        picture = load_image(str(path))
        for settings in cases(is_photograph):
            kind, rest = settings["image_processor_type"], {key: value for key, value in settings.items() if key != "image_processor_type"}
            processor = KINDS[kind](**rest)
            pixels = np.ascontiguousarray(processor(picture)["pixel_values"][0], dtype=np.float32)
            pixels.tofile(args.out / f"{len(written)}.bin")
            written.append({"picture": str(path), "settings": settings, "shape": pixels.shape, "std": processor.image_std})
    (args.out / "cases.json").write_text(json.dumps(written))


main()
