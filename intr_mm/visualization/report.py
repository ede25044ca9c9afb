import hashlib
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime
from html import escape
from string import Template

import mmengine.fileio

from intr_mm.structures import Explanation
from .report_encoding import (EncodedExplanation, encode_explanation,
                              json_block, page_part, page_settings)
from .report_summary import Deletion, judge, summarize

_SCRIPTS = ('heat.js', 'figure.js', 'viewer.js', 'gallery.js', 'class_page.js',
            'summary.js', 'report.js')


class HTMLReport:
    """Explanations of many images in one HTML file, to be looked through.

    The file needs nothing else: no network, no server, no other file. It shows
    how many are told right, which classes are confused and whether the maps
    decide; a gallery to sort and filter, each image with the attention of a
    class, a head and a layer, two classes side by side, and what a head looks
    for over all images of a class. As in :func:`draw_attention`, heat is
    attention relative to uniform on a logarithmic scale, and each cell is
    drawn where it lies on the image. Evidence, of a head that gives it, is
    shown in place of attention. Browsers since 2023 show it.

    Args:
        class_names: Names of all classes. Without them, indices are shown.
        title: Title of the page.
        image_size: Longest side in pixels to which larger images are scaled
            down.
        quality: Quality of the JPEG images, see :func:`encode_explanation`.
        facts: What else a reader may ask, such as ``Checkpoint``, by name.
            The first of them stands at the top, all others in a list.
        deletion: Of :func:`compare_deletion`, on a sample of the images.
        chosen: The classes of which one is true for each image, if images
            were chosen by that: then accuracy is that of these classes, and
            precision is not known.
    """

    def __init__(self,
                 class_names: Sequence[str] | None = None,
                 title: str = 'Where classes look',
                 image_size: int = 320,
                 quality: int = 80,
                 facts: dict[str, str] | None = None,
                 deletion: Deletion | None = None,
                 chosen: Sequence[int] | None = None) -> None:
        self.class_names = class_names
        self.title = title
        self.image_size = image_size
        self.quality = quality
        self.facts = dict(facts or {})
        self.deletion = deletion
        self.chosen = [int(label) for label in chosen or ()]
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
        for those in meta.get('several', {}).values():
            labels += those or []
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
        metas = [encoded.meta for encoded in self._encoded]
        num_classes = self.class_names and len(self.class_names)
        summary = summarize(metas, num_classes)
        now = datetime.now().isoformat(' ', 'minutes')
        head = [
            json_block('settings', settings),
            json_block('items', metas),
            json_block(
                'summary',
                dict(
                    summary, facts=self.facts, chosen=self.chosen,
                    written=now))
        ]
        texts = [encoded.base64() for encoded in self._encoded]
        bulk = [
            f'<script type="text/plain" id="{name}-{index}">{text[part]}'
            '</script>' for part, name in enumerate(('image', 'maps'))
            for index, text in enumerate(texts)
        ]
        page = Template(page_part('report.html')).substitute(
            title=escape(self.title),
            verdict=_verdict(metas, self.deletion, num_classes) +
            _missing(unreadable, len(self)),
            reading=page_part('reading.html'),
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


def _verdict(metas: list[dict], deletion: Deletion | None,
             num_classes: int | None) -> str:
    """Whether the maps decide, as HTML; nothing where it is not known."""
    judged = judge(metas, deletion, num_classes)
    if judged is None:
        return ''
    (level, sentence), remark = judged
    return (f'<p id="verdict" data-level="{level}">{sentence} '
            f'<small>{remark}</small></p>')


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
