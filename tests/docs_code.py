"""Code and commands of the README and of the pages in ``docs/``."""
import re
from pathlib import Path

from .tiny import ROOT

README = ROOT / 'README.md'
DOCS = ROOT / 'docs'
# The changelog names files that are gone.
PAGES = [README, ROOT / 'CONTRIBUTING.md', *sorted(DOCS.rglob('*.md'))]


def blocks(page: Path, language: str) -> list[str]:
    """Code blocks of a language, in order."""
    return re.findall(rf'^```{language}\n(.*?)^```', page.read_text(),
                      re.S | re.M)


def commands(page: Path) -> list[str]:
    """Lines of a page's shell blocks, those that go on put together."""
    text = '\n'.join(blocks(page, 'sh')).replace('\\\n', ' ')
    return [line for line in text.splitlines() if line[:1] not in ('', '#')]


def write_files(page: Path, folder: Path) -> list[str]:
    """Write the blocks that name a file in their first line; their names."""
    names = []
    for block in blocks(page, 'python'):
        first, rest = block.split('\n', 1)
        if first.startswith('# file: '):
            names.append(first.removeprefix('# file: '))
            (folder / names[-1]).write_text(rest)
    return names
