"""Pictures as a number-plate camera takes them: a road with one vehicle, and the crop of its plate.

Drawn, never photographed: nobody's car and nobody's plate is in them. No file is read or written here.
The noise of the sensor is drawn once for each `Road` and shared by its pictures, because it costs
more than all else in a picture.
"""

from __future__ import annotations

import functools
import io
import random
from dataclasses import dataclass, field

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from simulators.traffic import Direction, Vehicle

OVERVIEW_QUALITY = 88
PLATE_QUALITY = 90
BACKGROUNDS = 3
NOISE = 15
"""Makes a 1920x1080 overview some 350 kB: a capture of a Hikvision event with three pictures was 832 kB."""
PLATE_MM = (520, 111)
"""Size of a standard United Kingdom plate (BS AU 145e)."""

Box = tuple[int, int, int, int]
"""Left, top, width, height in pixels of the overview."""
Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Pictures:
    """What one vehicle looks like: two JPEGs, and where its plate is in the first."""

    overview: bytes = field(repr=False)
    plate: bytes = field(repr=False)
    plate_box_px: Box
    size_px: tuple[int, int]


class Road:
    """One camera's view: holds its backgrounds, takes pictures of vehicles.

    `size_px` is width and height of the overview, at least 320x180.
    """

    def __init__(self, seed: int, size_px: tuple[int, int] = (1920, 1080), *, infrared: bool = False) -> None:
        if size_px[0] < 320 or size_px[1] < 180:
            raise ValueError("an overview must be at least 320x180 pixels")
        self._size_px = size_px
        self._infrared = infrared
        chance = random.Random(seed)
        self._backgrounds = [_background(chance, size_px, infrared=infrared) for _ in range(BACKGROUNDS)]

    def take(self, vehicle: Vehicle) -> Pictures:
        """The overview with the vehicle in its lane, and the crop of its plate (1920 wide: 200x60 pixels)."""
        scene = self._backgrounds[vehicle.paint % BACKGROUNDS].copy()
        box = _draw_vehicle(scene, vehicle, infrared=self._infrared)
        x, y, w, h = box
        margin_x, margin_y = w // 8, round(h * 0.38)
        crop = scene.crop((x - margin_x, y - margin_y, x + w + margin_x, y + h + margin_y))
        return Pictures(_jpeg(scene, OVERVIEW_QUALITY), _jpeg(crop, PLATE_QUALITY), box, self._size_px)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def _background(chance: random.Random, size_px: tuple[int, int], *, infrared: bool) -> Image.Image:
    """Sky, verge, road and lane marks, under texture and noise that make the JPEG as large as a camera's."""
    width, height = size_px
    scene = Image.new("RGB", size_px, (12, 12, 12) if infrared else (150, 170, 195))
    draw = ImageDraw.Draw(scene)
    horizon = height * 3 // 10
    draw.rectangle((0, horizon, width, height), fill=(20, 20, 20) if infrared else (70, 92, 56))
    road = [(width * 0.40, horizon), (width * 0.60, horizon), (width * 1.02, height), (-width * 0.02, height)]
    draw.polygon(road, fill=(38, 38, 38) if infrared else (92, 92, 96))
    for part in range(12):
        near, far = horizon + (height - horizon) * part / 12, horizon + (height - horizon) * (part + 0.5) / 12
        half = width * (0.001 + part * 0.0005)
        draw.polygon(
            [(width / 2 - half, near), (width / 2 + half, near), (width / 2 + half, far), (width / 2 - half, far)],
            fill=(150, 150, 150) if infrared else (225, 225, 220),
        )
    for _ in range(60):
        _draw_bush(draw, chance, width, horizon, infrared=infrared)
    return _with_noise(scene, chance, grey=infrared)


def _draw_bush(draw: ImageDraw.ImageDraw, chance: random.Random, width: int, horizon: int, *, infrared: bool) -> None:
    radius = width * chance.uniform(0.006, 0.03)
    x, y = chance.uniform(0, width), horizon + radius * chance.uniform(-0.8, 0.3)
    green = chance.randint(40, 95)
    colour = (green // 3,) * 3 if infrared else (green * 2 // 3, green, green // 2)
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _with_noise(scene: Image.Image, chance: random.Random, *, grey: bool) -> Image.Image:
    """Coarse texture and fine noise of a strength of `NOISE`, the same for the same chance."""
    width, height = scene.size
    noise = Image.frombytes("L", scene.size, chance.randbytes(width * height)).filter(ImageFilter.BoxBlur(0.6))
    coarse_px = (width // 6 + 1, height // 6 + 1)
    coarse = Image.frombytes("L", coarse_px, chance.randbytes(coarse_px[0] * coarse_px[1])).resize(scene.size)
    texture = Image.blend(noise, coarse, 0.35)
    share = NOISE / 60
    bands = [band.point(_brighter(1 - share)) for band in scene.split()]
    faint = texture.point(_brighter(share))
    mixed = [ImageChops.add(band, faint) for band in ((bands[0],) * 3 if grey else bands)]
    return Image.merge("RGB", mixed)


def _brighter(factor: float) -> list[int]:
    return [min(255, round(level * factor)) for level in range(256)]


def _draw_vehicle(scene: Image.Image, vehicle: Vehicle, *, infrared: bool) -> Box:
    """Draw the vehicle in its lane; returns the box of its plate."""
    width, height = scene.size
    chance = random.Random(vehicle.paint)
    body_w = round(width * 0.26)
    body_h = round(body_w * 0.72)
    centre = round(width * (0.27 if vehicle.lane % 2 else 0.73) + width * chance.uniform(-0.05, 0.05))
    bottom = round(height * chance.uniform(0.82, 0.94))
    left, top = centre - body_w // 2, bottom - body_h
    draw = ImageDraw.Draw(scene)
    _draw_body(draw, (left, top, body_w, body_h), vehicle, chance, infrared=infrared)
    plate_w = round(width * 0.083)
    plate = _plate(vehicle, plate_w, infrared=infrared)
    at = (centre - plate.width // 2, bottom - round(body_h * 0.26))
    scene.paste(plate, at)
    return (*at, plate.width, plate.height)


def _draw_body(draw: ImageDraw.ImageDraw, box: Box, vehicle: Vehicle, chance: random.Random, *, infrared: bool) -> None:
    x, y, w, h = box
    paint = _paint(chance, infrared=infrared)
    dark: Colour = (8, 8, 8) if infrared else (28, 32, 38)
    lamp: Colour = (235, 235, 225) if vehicle.direction is Direction.TOWARD else (150, 20, 18)
    if infrared:
        lamp = (240, 240, 240)
    tyre = w // 9
    for wheel in (x + tyre // 2, x + w - tyre - tyre // 2):
        draw.rectangle((wheel, y + h * 3 // 4, wheel + tyre, y + h + h // 12), fill=(5, 5, 5))
    draw.rounded_rectangle((x, y + h * 0.36, x + w, y + h), radius=h // 10, fill=paint)
    draw.polygon(_sides(x, y, w, h, 0.20, 0.08), fill=paint)
    draw.polygon(_sides(x, y + h * 0.05, w, h * 0.95, 0.23, 0.13), fill=dark)
    for light in (x + w * 0.04, x + w * 0.80):
        draw.ellipse((light, y + h * 0.48, light + w * 0.16, y + h * 0.60), fill=lamp)
    draw.rectangle((x + w * 0.04, y + h * 0.92, x + w * 0.96, y + h * 0.97), fill=dark)


def _sides(x: float, y: float, w: float, h: float, at_top: float, at_foot: float) -> list[tuple[float, float]]:
    foot = y + h * 0.42
    return [(x + w * at_top, y), (x + w * (1 - at_top), y), (x + w * (1 - at_foot), foot), (x + w * at_foot, foot)]


def _paint(chance: random.Random, *, infrared: bool) -> Colour:
    if infrared:
        level = chance.randint(45, 130)
        return (level, level, level)
    return chance.choice([(190, 190, 195), (35, 38, 45), (235, 235, 232), (120, 22, 24), (28, 52, 110), (96, 100, 104)])


def _plate(vehicle: Vehicle, width_px: int, *, infrared: bool) -> Image.Image:
    """A white front or yellow rear plate of `width_px`; where it cannot be read, mud hides the characters."""
    yellow = vehicle.direction is Direction.AWAY and not infrared
    ground: Colour = (245, 200, 40) if yellow else (244, 244, 240)
    plate = Image.new("RGB", PLATE_MM, ground)
    if vehicle.readable:
        _draw_characters(plate, vehicle.vrm)
    else:
        mud: Colour = (80, 80, 80) if infrared else (92, 82, 66)
        ImageDraw.Draw(plate).rectangle((20, 14, 500, 97), fill=mud)
    return plate.resize((width_px, round(width_px * PLATE_MM[1] / PLATE_MM[0])), Image.Resampling.BILINEAR)


@functools.cache
def _glyph(character: str) -> Image.Image:
    """The character as a mask of 50x79, the size that BS AU 145e gives it; a 1 keeps its own width."""
    font = ImageFont.load_default(size=120)
    left, top, right, bottom = (round(edge) for edge in font.getbbox(character, stroke_width=3))
    mask = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(mask).text((-left, -top), character, fill=255, font=font, stroke_width=3)
    return mask.resize((24 if character in "1I" else 50, 79), Image.Resampling.BILINEAR)


def _draw_characters(plate: Image.Image, text: str) -> None:
    """Characters in cells 61 wide and the space of 33 between the groups, as on a plate."""
    x = (PLATE_MM[0] - 7 * 50 - 5 * 11 - 33) // 2
    for character in text:
        if character == " ":
            x += 33 - 11
            continue
        glyph = _glyph(character)
        plate.paste((8, 8, 8), (x + (50 - glyph.width) // 2, (PLATE_MM[1] - 79) // 2), glyph)
        x += 61
