import hashlib
from base64 import b64encode
from collections.abc import Sequence
from html import escape
from string import Template

import mmengine.fileio

from intr_mm.evaluation.verdict import verdict
from intr_mm.structures import Explanation
from .report_encoding import (EncodedExplanation, encode_explanation,
                              json_block, page_part, page_settings)

_WRONG = ' class="wrong"'
_SCRIPTS = ('heat.js', 'viewer.js', 'gallery.js', 'class_page.js', 'report.js')


class HTMLReport:
    """Explanations of many images in one HTML file, to be looked through.

    The file needs nothing else: no network, no server, no other file. It shows
    a gallery to sort and filter, each image with the attention of a class, a
    head and a layer, two classes side by side, and what a head looks for over
    all images of a class. As in :func:`draw_attention`, heat is attention
    relative to uniform on a logarithmic scale, and each cell is drawn where it
    lies on the image. Evidence, of a head that gives it, is shown in place of
    attention. A sentence says whether the maps decide. Browsers since 2023
    show it.

    Args:
        class_names: Names of all classes. Without them, indices are shown.
        title: Title of the page.
        image_size: Longest side in pixels to which larger images are scaled
            down.
        quality: Quality of the JPEG images, 0 to 100.
    """

    def __init__(self,
                 class_names: Sequence[str] | None = None,
                 title: str = 'Where classes look',
                 image_size: int = 320,
                 quality: int = 80) -> None:
        self.class_names = class_names
        self.title = title
        self.image_size = image_size
        self.quality = quality
        self._encoded: list[EncodedExplanation] = []

    def __len__(self) -> int:
        return len(self._encoded)

    def add(self, explanation: Explanation) -> None:
        """Add an image; only its compact form is kept."""
        self.add_encoded(
            encode_explanation(explanation, self.image_size, self.quality))

    def add_encoded(self, encoded: EncodedExplanation) -> None:
        """Add an image that was encoded elsewhere, as in another process.

        Args:
            encoded: Of :func:`encode_explanation`.

        Raises:
            ValueError: If a class of the image has no name.
        """
        meta = encoded.meta
        labels = [meta['pred'], *meta['classes']]
        if meta['gt'] is not None:
            labels.append(meta['gt'])
        if (self.class_names is not None
                and max(labels) >= len(self.class_names)):
            raise ValueError(
                f"'{meta['name']}' has the class {max(labels)}, but the "
                f'report has names for {len(self.class_names)} classes; give '
                'class_names of all classes, or none.')
        self._encoded.append(encoded)

    def write(self, path: str, unreadable: Sequence[str] = ()) -> None:
        """Write the page, whole or not at all.

        Args:
            path: The HTML file, or a URL that MMEngine can write to.
            unreadable: Why images are missing, each in a sentence.
        """
        style = page_part('style.css')
        script = ''.join(map(page_part, _SCRIPTS))
        settings = page_settings(self.class_names, self.title)
        head = [
            json_block('settings', settings),
            json_block('items', [part.meta for part in self._encoded])
        ]
        texts = [encoded.base64() for encoded in self._encoded]
        bulk = [
            f'<script type="text/plain" id="{name}-{index}">{text[part]}'
            '</script>' for part, name in enumerate(('image', 'maps'))
            for index, text in enumerate(texts)
        ]
        page = Template(page_part('report.html')).substitute(
            title=escape(self.title),
            verdict=_verdict([part.meta for part in self._encoded],
                             self.class_names and len(self.class_names)) +
            _missing(unreadable, len(self)),
            policy=f"default-src 'none'; img-src data:; "
            f"style-src '{_digest(style)}'; script-src '{_digest(script)}'",
            style=style,
            script=script,
            head='\n'.join(head),
            bulk='\n'.join(bulk))
        local = '://' not in str(path)
        mmengine.fileio.put_text(
            page,
            path,
            backend_args=dict(backend='AtomicLocalBackend') if local else None)


def _verdict(metas: list[dict], num_classes: int | None) -> str:
    """Whether the maps decide, as HTML; nothing where it is not known."""
    kept = [meta['even']['kept'] for meta in metas if 'even' in meta]
    if not kept:
        return ''
    level, sentence = verdict(
        same=100 * sum(kept) / len(kept), num_classes=num_classes)
    if all(meta['kind'] == 'evidence' for meta in metas):
        sentence = f'These maps add up to the scores. {sentence}'
    elif any(len(meta['layers']) > 1 for meta in metas):
        sentence += " Meant are the last layer's."
    return f'<p{_WRONG if level == "not" else ""}>{sentence}</p>'


def _missing(unreadable: Sequence[str], number: int) -> str:
    """Which images the report lacks, as HTML."""
    if not unreadable:
        return ''
    reasons = ''.join(f'<li>{escape(reason)}</li>' for reason in unreadable)
    return (f'<details><summary>Of {number + len(unreadable)} images, '
            f'{len(unreadable)} cannot be read</summary><ul>{reasons}</ul>'
            '</details>')


def _digest(text: str) -> str:
    """Source of a content security policy that allows just this text."""
    digest = hashlib.sha256(text.encode()).digest()
    return f'sha256-{b64encode(digest).decode()}'
