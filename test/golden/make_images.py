"""Golden pictures: files of every kind decoded, pictures in other sizes by every kernel, and what image processors make of them.

Run from the repository's root:  python test/golden/make_images.py
Made with Pillow 13.0.0, transformers 5.24.0. Writes images/.
"""
import base64
import json
import pathlib
import struct
import zlib

import numpy as np
from PIL import Image, ImageCms
from transformers.image_utils import load_image
from transformers import BitImageProcessorPil, CLIPImageProcessorPil, SiglipImageProcessorPil, ViTImageProcessorPil

golden = pathlib.Path(__file__).parent / "images"
golden.mkdir(exist_ok=True)
random = np.random.default_rng(0)

# A picture with soft colours, an edge and some noise, 21 high and 34 wide.
H, W = 21, 34
y, x = np.mgrid[0:H, 0:W]
base = np.stack([x * 7, y * 12, (x - y) * 5 + 90], -1) + random.integers(-9, 10, (H, W, 3))
base[5:14, 8:19] = (250, 20, 40)
base = base.clip(0, 255).astype(np.uint8)
picture = Image.fromarray(base)
opaque = Image.fromarray(random.integers(0, 256, (H, W), dtype=np.uint8))
clear = picture.copy()
clear.putalpha(opaque)


def packed(array):
    return {"shape": list(array.shape), "data": base64.b64encode(zlib.compress(np.ascontiguousarray(array).tobytes(), 9)).decode()}


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png16(name, array, colour):
    """Pillow reads 16 bits in colour, and does not write them."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    header = struct.pack(">IIBBBBB", W, H, 16, colour, 0, 0, 0)
    (golden / name).write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def wide_gamut():
    """sRGB with another red: a program that follows profiles shows other colours."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    at = profile.find(b"rXYZ")
    place = struct.unpack(">I", profile[at + 4 : at + 8])[0]
    profile[place + 8 : place + 12] = struct.pack(">i", int(0.515 * 65536))
    return bytes(profile)


def write(name, image, **options):
    image.save(golden / name, **options)


write("rgb.jpg", picture, quality=90)
write("progressive.jpg", picture, quality=60, progressive=True)
write("grey.jpg", picture.convert("L"))
ink = np.array(picture.convert("CMYK"))
ink[..., 3] = np.linspace(0, 255, H)[:, None]
write("cmyk.jpg", Image.fromarray(ink, mode="CMYK"), quality=95)
write("profile.jpg", picture, icc_profile=wide_gamut())
write("rgb.png", picture)
write("grey.png", picture.convert("L"))
write("bits.png", picture.convert("1"))
palette = picture.quantize(16)
write("palette.png", palette)
write("palette-clear.png", palette, transparency=3)
write("alpha.png", clear)
write("grey-alpha.png", clear.convert("LA"))
write("colour-clear.png", picture, transparency=tuple(int(value) for value in base[0, 0]))
deep = base.astype(np.uint16) * 256 + random.integers(0, 256, base.shape).astype(np.uint16)
png16("deep.png", deep, 2)
png16("deep-grey.png", deep[..., 0], 0)
write("lossy.webp", picture, quality=80)
write("alpha.webp", clear, lossless=True, exact=True)
picture.save(golden / "moving.webp", save_all=True, append_images=[picture.rotate(180)], duration=100, lossless=True)
for orientation in range(2, 9):
    exif = Image.Exif()
    exif[0x112] = orientation
    write(f"turned-{orientation}.jpg", picture, exif=exif)
exif = Image.Exif()
exif[0x112] = 6
write("turned.png", picture, exif=exif)
write("turned.webp", picture, exif=exif, lossless=True)

# Pillow 13 makes every value of 16-bit grey that is above 255 white; the right value is the high byte, as with colours.
decoded = {path.name: np.array(load_image(str(path))) for path in sorted(golden.iterdir()) if path.suffix in (".jpg", ".png", ".webp")}
decoded["deep-grey.png"] = np.repeat((deep[..., :1] >> 8).astype(np.uint8), 3, -1)

# Noise shows every rounding, and hard black and white what is cut off at the ends of the range; of the tall one columns go first.
sources = {"noise": random.integers(0, 256, (19, 27, 3), dtype=np.uint8), "hard": random.integers(0, 2, (40, 6, 3), dtype=np.uint8) * 255}
sizes = [(8, 8), (30, 41), (19, 5), (3, 27), (5, 50), (25, 1)]
resampled = [
    {"source": name, "kernel": kernel, "size": [height, width], "made": packed(np.array(Image.fromarray(source).resize((width, height), kernel)))}
    for name, source in sources.items()
    for kernel in range(6)
    for height, width in sizes
]

kinds = {"ViTImageProcessor": ViTImageProcessorPil, "BitImageProcessor": BitImageProcessorPil, "CLIPImageProcessor": CLIPImageProcessorPil, "SiglipImageProcessor": SiglipImageProcessorPil}
small = {"size": {"height": 8, "width": 8}}
cases = [
    ("ViTImageProcessor", small),
    ("ViTImageProcessor", {"size": 9}),
    ("ViTImageProcessor", {"size": [6, 9], "resample": 3, "do_normalize": False}),
    ("ViTImageProcessor", {"do_resize": False, "do_rescale": False, "do_normalize": False}),
    ("ViTImageProcessor", {"do_resize": False, "do_rescale": False}),
    ("ViTImageProcessor", {**small, "image_mean": 0.4, "image_std": [0.1, 0.2, 0.3], "rescale_factor": 0.01}),
    ("ViTImageProcessor", {"do_resize": False, "do_center_crop": True, "crop_size": {"height": 9, "width": 40}}),
    ("BitImageProcessor", {"size": {"shortest_edge": 10}, "crop_size": {"height": 8, "width": 8}}),
    ("CLIPImageProcessor", {"size": 10, "crop_size": 8}),
    ("CLIPImageProcessor", {"size": {"shortest_edge": 10, "longest_edge": 12}, "crop_size": 9}),
    ("CLIPImageProcessor", {"size": {"shortest_edge": 10, "longest_edge": 40}, "do_center_crop": False}),
    ("CLIPImageProcessor", {"do_resize": False, "crop_size": {"height": 7, "width": 50}}),
    ("SiglipImageProcessor", {**small, "resample": 1}),
    ("SiglipImageProcessor", {"size": 9, "do_rescale": None}),
    ("SiglipImageProcessor", {"size": 9, "default_to_square": True}),
]
prepared = []
for kind, settings in cases:
    for name, pixels in (("wide", picture), ("tall", picture.transpose(Image.Transpose.TRANSPOSE))):
        made = np.array(kinds[kind](**settings)(pixels)["pixel_values"][0], dtype=np.float32)
        prepared.append({"settings": {"image_processor_type": kind, **settings}, "picture": name, "made": packed(made)})
grey = {**small, "image_mean": [0.5], "image_std": [0.25]}
made = np.array(ViTImageProcessorPil(**grey)(picture.convert("L"))["pixel_values"][0], dtype=np.float32)
prepared.append({"settings": {"image_processor_type": "ViTImageProcessor", **grey}, "picture": "wide", "made": packed(made)})

unset = {kind: {key: value for key, value in json.loads(made().to_json_string()).items() if value is not None} for kind, made in kinds.items()}
(golden / "golden.json").write_text(json.dumps({
    "decoded": {name: packed(array) for name, array in decoded.items()},
    "sources": {name: packed(array) for name, array in {**sources, "wide": base, "tall": base.transpose(1, 0, 2)}.items()},
    "resampled": resampled, "prepared": prepared, "defaults": unset,
}, indent=1) + "\n")
