"""Chromium, as it looks at a page by itself: without a network, a profile, or anything that outlives it."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final, Literal

CHROMIUM: Final = shutil.which("chromium")

Scheme = Literal["light", "dark"]


def picture_of(page: Path, scheme: Scheme, picture: Path, *, size: str = "1000,1400") -> str:
    """Have a page rendered into `picture`, and return what the browser said."""
    profile = picture.with_suffix(f".{scheme}.profile")
    browser = [
        *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-logging=stderr"),
        *(f"--user-data-dir={profile}", f"--window-size={size}", f"--screenshot={picture}"),
        f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}",
        page.as_uri(),
    ]
    home = {**os.environ, "HOME": str(profile)}
    shown = subprocess.run(browser, capture_output=True, text=True, check=True, timeout=110, env=home)
    shutil.rmtree(profile, ignore_errors=True)
    return shown.stderr
