"""The page's files, read from the package once."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Final

MEDIA_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFile:
    """One file as it is served."""

    body: bytes
    media_type: str
    etag: str
    """Of its content, so that a browser's copy is good exactly as long as the file is the same."""

    @classmethod
    def of(cls, name: str, body: bytes) -> PageFile:
        """A file by its name, which tells its type."""
        suffix = name[name.rindex(".") :]
        return cls(
            body=body, media_type=MEDIA_TYPES[suffix], etag=f'"{sha256(body).hexdigest()[:32]}"'
        )


def read_page_files() -> dict[str, PageFile]:
    """All files of the page by name."""
    folder = files("tokenbeat.control_plane.view") / "assets"
    return {
        file.name: PageFile.of(file.name, file.read_bytes())
        for file in folder.iterdir()
        if file.name[file.name.rfind(".") :] in MEDIA_TYPES
    }
