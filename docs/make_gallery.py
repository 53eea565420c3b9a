"""Run the code blocks of the gallery's pages and write their pictures: `python docs/make_gallery.py [NAME ...]`.

A block is made into a picture when a line `<!-- picture: NAME -->` stands before it; its `ax` or `figure` is saved as
`_static/gallery_NAME.png`, and the link to it is set below the block. The first block of a page holds its imports.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
PAGES = sorted((DOCS / "gallery").glob("*.md"))
LARGEST_BYTES = 150_000
BLOCK = re.compile(r"<!-- picture: (\w+) -->\n```python\n(.*?)```\n(?:\n!\[[^\]]*\]\([^)]*\)\n)?", re.DOTALL)


def preamble(text: str) -> str:
    """The imports at the head of the page, which every block relies on."""
    return text.split("```python\n", 1)[1].split("```", 1)[0]


def examples(text: str) -> dict[str, str]:
    """The code of each picture, by name, in the order of the page."""
    return {name: code for name, code in BLOCK.findall(text)}


def picture_path(name: str) -> Path:
    return DOCS / "_static" / f"gallery_{name}.png"


def draw(code: str) -> Any:
    """The figure that a block makes."""
    scope: dict[str, Any] = {}
    exec(code, scope)
    return scope["figure"] if "figure" in scope else scope["ax"].figure


def with_links(text: str) -> str:
    """The page with a link to each picture below its block."""
    return BLOCK.sub(
        lambda m: f"<!-- picture: {m[1]} -->\n```python\n{m[2]}```\n\n![{m[1]}](../_static/gallery_{m[1]}.png)\n", text
    )


def save(figure: Any, path: Path) -> int:
    """Write a picture at the highest of some resolutions at which it is small enough; its size in bytes.

    Where none is, fine colours go before fine lines: 256 colours at the lowest.
    """
    size = 0
    for dpi in (100, 85, 70):
        # without the version of matplotlib in it, an unchanged picture is an unchanged file
        figure.savefig(path, dpi=dpi, metadata={"Software": None}, pil_kwargs={"optimize": True})
        size = path.stat().st_size
        if size <= LARGEST_BYTES:
            return size
    from PIL import Image

    with Image.open(path) as picture:
        reduced = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    reduced.save(path, optimize=True)
    return path.stat().st_size


def main(names: list[str]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    for page in PAGES:
        text = page.read_text()
        known = examples(text)
        chosen = [name for name in known if not names or name in names]
        for name in chosen:
            figure = draw(preamble(text) + known[name])
            size = save(figure, picture_path(name))
            plt.close(figure)
            print(f"{name}: {size // 1000} kB" + (" TOO LARGE" if size > LARGEST_BYTES else ""))
        if chosen:
            # Read again, for the page may have been edited while its pictures were drawn.
            page.write_text(with_links(page.read_text()))


if __name__ == "__main__":
    main(sys.argv[1:])
