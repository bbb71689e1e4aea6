"""The one module that converts pixels between bytes and the networks' range."""

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile


def to_unit(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """uint8 (n, side, side) to float32 (n, side, side) in [0, 1], 0 = background."""
    return images.astype(np.float32) / np.float32(255)


def to_signed(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """uint8 (n, side, side) to float32 (n, side, side, 1) in [-1, 1], the range of tanh; -1 = background."""
    return (images.astype(np.float32) / np.float32(127.5) - np.float32(1))[..., np.newaxis]


def from_unit(images: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Float images in [0, 1] to uint8 of the same shape: rounded, and clipped outside. NaN raises ValueError."""
    if np.isnan(images).any():
        raise ValueError("expected finite pixels, received NaN")
    return np.rint(np.clip(images.astype(np.float64), 0, 1) * 255).astype(np.uint8)


def from_signed(images: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Float images (n, side, side, 1) in [-1, 1] to uint8 (n, side, side): the inverse of `to_signed`."""
    return from_unit((images[..., 0].astype(np.float64) + 1) / 2)


def deep_mode(image: ImageFile.ImageFile) -> str:
    """The mode of an image of more than 8 bits a channel, as its file stores it, or nothing; before it is loaded.

    Pillow would clip grey levels of 16 bits to white, and silently drop the lower 8 bits of colours.
    """
    if image.mode.startswith(("I", "F")):
        return image.mode
    stored = [str(tile.args) for tile in image.tile]
    return next((mode for mode in stored if mode.endswith(";16B")), "")  # of PNG


def opaque_grey(image: Image.Image) -> NDArray[np.uint8] | None:
    """Grey levels uint8 (height, width) of an image, upright as viewers show it by its EXIF orientation.

    None where a pixel is transparent: it would turn black.
    """
    image.load()  # PNG may tell the orientation behind the pixels
    turn = _UPRIGHT.get(_orientation(image)) if _EXIF & image.info.keys() else None
    if turn is not None:
        info, image = image.info, image.transpose(turn)
        image.info = info
    if "A" in image.mode.upper() or "transparency" in image.info:
        image = image.convert("RGBA")
        if (np.asarray(image.getchannel("A")) < 255).any():
            return None
    return np.asarray(image if image.mode == "L" else image.convert("L"))


_EXIF = {"exif", "Raw profile type exif"}  # the latter of older PNG
_UPRIGHT = {  # by the orientation of EXIF 2.3
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _orientation(image: Image.Image) -> int:
    """What EXIF tells; 1 where it is damaged, as the pixels need not be: Pillow raises whatever it meets there."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return 1


def halved(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """uint8 (n, side, side) to float32 (n, side // 2, side // 2) in [0, 1]: means of 2 × 2 pixels.

    An odd side's last row and column are left out.
    """
    even = images[:, : images.shape[1] // 2 * 2, : images.shape[2] // 2 * 2].astype(np.uint16)
    rows = even[:, ::2] + even[:, 1::2]
    return (rows[:, :, ::2] + rows[:, :, 1::2]).astype(np.float32) / np.float32(4 * 255)


def flat(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """uint8 (n, side, side) to float32 (n, side * side) in [0, 1]: rows for scikit-learn and LightGBM."""
    return to_unit(images).reshape(len(images), -1)
