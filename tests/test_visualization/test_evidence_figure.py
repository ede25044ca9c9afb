"""Pictures of evidence, and what titles say of how much maps decide."""
from dataclasses import replace

import numpy as np
import pytest

from intr_mm.visualization import explanation_figure, render
from .report_data import EVIDENCE, EXPLANATIONS, NAMES

EXPLANATION = EVIDENCE[3]  # of the classes 0, 1 and 2, of which 1 is predicted


def draw(explanation, **kwargs):
    """The figure with what stands in it: headings, other texts, the maps on
    the pixels of their panels, and the title."""
    figure = explanation_figure(explanation, NAMES, **kwargs)
    panels = [ax for ax in figure.axes if ax.images]
    maps = [ax.images[1].get_array() for ax in panels if len(ax.images) > 1]
    title, *labels = figure.texts
    labels += [text for ax in panels for text in ax.texts]
    texts = [text.get_text().replace('\n', ' ') for text in labels]
    titles = [ax.get_title() for ax in panels if ax.get_title()]
    return figure, titles, texts, maps, title.get_text()


def total(values):
    return f'{values.sum():+.2f}'


def test_heads_their_sum_and_the_margin():
    figure, titles, texts, maps, _ = draw(EXPLANATION)
    evidence = EXPLANATION.evidence
    assert titles == [
        'image', 'head 0', 'head 1', 'head 2', 'evidence', 'why A and not B'
    ]
    assert len(maps) == 3 * 5
    assert texts[:2] == ['red ruff (0.08)', 'blue bill (0.60)']
    assert texts[3:8] == [
        *(f'sum {total(head)}' for head in evidence[0]),
        f'sum {total(evidence[0])}, found 0.60',
        f'red ruff, not blue bill: {total(evidence[0] - evidence[1])}'
    ]
    margins = maps[4::5]
    for margin, (a, b) in zip(margins, ((0, 1), (0, 1), (0, 2))):
        expected = EXPLANATION.geometry.resample(
            (evidence[a] - evidence[b]).sum(0)[None], EXPLANATION.img_shape,
            margin.shape)[0]
        np.testing.assert_allclose(margin, expected, atol=1e-5)
    # what speaks against the class is blue, what speaks for it orange
    red, green, blue = np.moveaxis(render(figure).astype(int), -1, 0)
    assert ((blue - red) > 60).sum() > 500 < ((red - blue) > 60).sum()


@pytest.mark.parametrize('heads, panels', [('mean', 2), ('best4', 5)])
def test_fewer_panels(heads, panels):
    _, _, _, maps, _ = draw(EXPLANATION, heads=heads)
    assert len(maps) == 3 * panels


def test_heads_with_most_evidence_come_first():
    few = replace(EXPLANATION, evidence=EXPLANATION.evidence.copy())
    few.evidence[:, 1] *= -9
    few.evidence[:, 0] /= 9
    titles = draw(few, heads='best4')[1]
    assert titles[1:4] == ['head 1', 'head 2', 'head 0']


@pytest.mark.parametrize('against, pairs', [
    (2, ['red ruff, not', 'blue bill, not', 'red ruff, not']),
    ('rival', [
        'red ruff, not blue bill', 'blue bill, not red ruff', ', not blue bill'
    ]),
])
def test_against_one_class(against, pairs):
    texts = [
        text for text in draw(EXPLANATION, against=against)[2]
        if ', not' in text
    ]
    for text, pair in zip(texts, pairs):
        assert pair in text


def test_one_class_has_no_margin():
    one = replace(
        EXPLANATION,
        classes=[1],
        maps=EXPLANATION.maps[:, 1:2],
        evidence=EXPLANATION.evidence[1:2])
    assert draw(one)[1][-1] == 'evidence'


def test_title_says_what_even_attention_leaves():
    assert draw(EXPLANATION)[-1].split('\n')[2] == (
        'these maps add up to the score; with even attention: 0.17')
    scores = np.full(6, .02)
    scores[1] = .9
    attention = replace(EXPLANATIONS[3], even_scores=scores)
    line = 'with even attention in place of these maps: blue bill 0.90'
    assert draw(attention, place=1)[-1].endswith(f'\n{line}')
    # of some heads, nothing adds up, and all look evenly
    assert draw(
        EXPLANATION,
        heads=[0])[-1].split('\n')[2] == 'with even attention: 0.17'
    line_of_all = '\nwith even attention of all heads: blue bill 0.90'
    assert draw(attention, place=1, heads=[0])[-1].endswith(line_of_all)
    assert 'these maps' in draw(EXPLANATION, heads=[0, 'mean'])[-1]
    # the score does not follow from maps of the layers before
    assert line not in draw(attention, place=0)[-1]
    assert line not in draw(EXPLANATIONS[3], place=1)[-1]
