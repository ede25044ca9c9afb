"""Fonts for characters that matplotlib's own lacks, such as Chinese ones."""
import logging
import re
import unicodedata
from functools import lru_cache
from pathlib import Path

import matplotlib
from matplotlib import font_manager
from matplotlib.font_manager import FontProperties
from mmengine.logging import print_log

# taken only if no other font has a character
_STYLED = re.compile('bold|black|light|thin|italic|oblique|mono|lastresort',
                     re.IGNORECASE)
_told = set()


def font_families(text: str) -> list[str]:
    """Families in whose order characters are looked for: those of matplotlib's
    settings, and installed ones that have what these lack.

    Characters that no font has are named in the log, once.

    Args:
        text: All that is written.
    """
    families = list(matplotlib.rcParams['font.family'])
    if text.isascii():
        return families
    own = set()
    for family in families:
        path = font_manager.findfont(FontProperties(family=[family]))
        own |= _characters(path)
    # neither spaces nor what only joins and controls
    lacking = {
        character
        for character in set(text) - own
        if unicodedata.category(character)[0] not in 'CZ'
    }
    found, lacking = _find(frozenset(lacking))
    untold = ''.join(sorted(lacking - _told))
    if untold:
        _told.update(untold)
        print_log(
            f"No installed font has the characters '{untold}', which stand as "
            'boxes in figures: install one that has them, such as those of '
            'https://fonts.google.com/noto (on Debian and Ubuntu, '
            'fonts-noto-core and fonts-noto-cjk).',
            logger='current',
            level=logging.WARNING)
    return [*families, *found]


@lru_cache(maxsize=64)
def _find(lacking: frozenset[str]) -> tuple[list[str], set[str]]:
    """Families of installed fonts that have characters, and what none has."""
    found, left = [], set(lacking)
    if not left:
        return found, left
    # matplotlib's list of fonts does not know those of later
    for path in sorted(
            font_manager.findSystemFonts(),
            key=lambda path: (bool(_STYLED.search(Path(path).name)), path)):
        has = left & _characters(path)
        if not has:
            continue
        family = font_manager.get_font(path).family_name
        if path not in {
                font.fname
                for font in font_manager.fontManager.ttflist
        }:
            font_manager.fontManager.addfont(path)
        found.append(family)
        left -= has
        if not left:
            break
    return found, left


@lru_cache(maxsize=None)
def _characters(path: str) -> frozenset[str]:
    """What a font has; nothing where it cannot be drawn at any size."""
    try:
        font = font_manager.get_font(path)
        return frozenset(map(chr, font.get_charmap() if font.scalable else ()))
    except (OSError, RuntimeError):  # no font that FreeType reads
        return frozenset()
