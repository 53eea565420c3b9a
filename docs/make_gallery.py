"""Run the code blocks of gallery.md and write their pictures to _static: `python docs/make_gallery.py [NAME ...]`.

A block is made into a picture when a line `<!-- picture: NAME -->` stands before it; its `ax` or `figure` is saved as
`_static/gallery_NAME.png`, and the link to it is set below the block.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
PAGE = DOCS / "gallery.md"
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
        lambda m: f"<!-- picture: {m[1]} -->\n```python\n{m[2]}```\n\n![{m[1]}](_static/gallery_{m[1]}.png)\n", text
    )


def with_few_colours(path: Path) -> None:
    """Store a picture that is too large with a palette."""
    from PIL import Image

    if path.stat().st_size > LARGEST_BYTES:
        with Image.open(path) as picture:
            picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def main(names: list[str]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    text = PAGE.read_text()
    known = examples(text)
    for name in names or known:
        figure = draw(preamble(text) + known[name])
        # without the version of matplotlib in it, an unchanged picture is an unchanged file
        figure.savefig(picture_path(name), dpi=100, metadata={"Software": None}, pil_kwargs={"optimize": True})
        plt.close(figure)
        with_few_colours(picture_path(name))
        size = picture_path(name).stat().st_size
        print(f"{name}: {size // 1000} kB" + (" TOO LARGE" if size > LARGEST_BYTES else ""))
    PAGE.write_text(with_links(text))


if __name__ == "__main__":
    main(sys.argv[1:])
