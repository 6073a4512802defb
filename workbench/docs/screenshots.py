"""Screenshots of a page as its readers meet it.

``python -m workbench.docs.screenshots PAGE FOLDER`` makes them, by Chromium through playwright:
on a desk, on a phone, in the dark, on paper.
"""

import argparse
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from workbench.settings import UserError


@dataclass(frozen=True)
class Reader:
    """How somebody reads a page; ``width`` and ``height`` are pixels."""

    name: str
    width: int
    height: int
    scheme: Literal["light", "dark"] = "light"
    media: Literal["screen", "print"] = "screen"


READERS = (
    Reader("desk", 1280, 900),
    Reader("phone", 390, 844),
    Reader("dark", 1280, 900, scheme="dark"),
    Reader("paper", 794, 1123, media="print"),  # A4 at 96 pixels per inch
)


def chromium_program() -> str:
    """Return the path of Chromium or Chrome; UserError if neither is installed."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        raise UserError("screenshots need Chromium: apt install chromium")
    return found


def take_screenshots(page: Path, folder: Path) -> list[Path]:
    """Take a screenshot of the whole page for each reader, without network; return the files."""
    from playwright.sync_api import sync_playwright

    chromium = chromium_program()
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for reader in READERS:
            view = {"width": reader.width, "height": reader.height}
            context = browser.new_context(
                viewport=view,  # type: ignore[arg-type]
                color_scheme=reader.scheme,
            )
            tab = context.new_page()
            tab.emulate_media(media=reader.media, color_scheme=reader.scheme)
            tab.goto(page.resolve().as_uri())
            made.append(folder / f"{page.stem}-{reader.name}.png")
            tab.screenshot(path=str(made[-1]), full_page=True)
            context.close()
        browser.close()
    return made


def main(words: Sequence[str] | None = None) -> None:
    """Take the screenshots of the page that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m workbench.docs.screenshots")
    parser.add_argument("page", type=Path, help="an HTML file")
    parser.add_argument("folder", type=Path, help="where the pictures go")
    options = parser.parse_args(words)
    try:
        made = take_screenshots(options.page, options.folder)
    except UserError as error:
        parser.error(str(error))
    print(*made, sep="\n")


if __name__ == "__main__":
    main()
