"""The notebooks as a book: executed from first to last, rendered to pages that need no network."""

from crosskd_lab.book.chapters import NOTEBOOKS, Chapter, Cover, covers
from crosskd_lab.book.press import build_book

__all__ = ["NOTEBOOKS", "Chapter", "Cover", "build_book", "covers"]
