"""Boxes with round corners behind captions, as drawings of ASS. Pure."""

# Room about the letters, by the height of a line.
PADDING_X, PADDING_Y = 0.3, 0.1
# How far the handles of a curve reach that is a quarter of a circle.
CIRCLE = 0.5523


def draw(
    alignment: int, x: float, y: float, width: float, height: float, size: float, radius: float, color: str
) -> str:
    """Return the text of an event that draws a box about text of `width` × `height` pixels in lines of `size`, which is
    aligned at a point as on the digits of a keyboard; `color` is that of ASS, with its transparency."""
    row, column = divmod(alignment - 1, 3)
    padding_x, padding_y = PADDING_X * size, PADDING_Y * size
    left = x - width * column / 2 - padding_x
    top = y - height * (2 - row) / 2 - padding_y
    looks = f"\\bord0\\shad0\\1c&H{color[4:]}&\\1a{color[:4]}&"
    path = round_path(round(width + 2 * padding_x), round(height + 2 * padding_y), radius)
    return f"{{\\an7\\pos({left:.1f},{top:.1f}){looks}\\p1}}{path}"


def round_path(width: int, height: int, radius: float) -> str:
    """Return the path of a rectangle whose corners are quarters of a circle."""
    near, far = radius * (1 - CIRCLE), radius
    corners = (
        ((width - far, 0), (width - near, 0), (width, near), (width, far)),
        ((width, height - far), (width, height - near), (width - near, height), (width - far, height)),
        ((far, height), (near, height), (0, height - near), (0, height - far)),
        ((0, far), (0, near), (near, 0), (far, 0)),
    )
    parts = [f"m {far:.1f} 0"]
    for begin, *curve in corners:
        points = " ".join(f"{x:.1f} {y:.1f}" for x, y in curve)
        parts.append(f"l {begin[0]:.1f} {begin[1]:.1f} b {points}")
    return " ".join(parts)
