"""The figures with which a report opens."""
import pytest

from intr_mm.visualization.report_summary import judge, summarize

# true class, predicted
LABELS = [(0, 0), (0, 1), (0, 1), (1, 0), (1, 1), (2, 1), (None, 3)]


def metas(labels=LABELS, even=None):
    found = [
        dict(gt=gt, pred=pred, classes=[pred], kind='attention', layers=[0])
        for gt, pred in labels
    ]
    for meta, label in zip(found, even or ()):
        meta['even'] = {
            kind: float(label == meta[kind])
            for kind in ('gt', 'pred')
        }
    return found


def test_accuracy_and_its_interval():
    summary = summarize(metas(), num_classes=6)
    assert (summary['images'], summary['labelled']) == (7, 6)
    accuracy = summary['accuracy']
    assert accuracy['right'] == 2
    assert accuracy['value'] == pytest.approx(100 / 3)
    # Wilson's for 2 of 6: centre (2 + z^2 / 2) / (6 + z^2), z = 1.96
    assert accuracy['low'] == pytest.approx(9.68, abs=.01)
    assert accuracy['high'] == pytest.approx(70.00, abs=.01)
    # which has no width of zero where all are right
    certain = summarize(metas([(0, 0)] * 10))['accuracy']
    assert certain['low'] == pytest.approx(72.25, abs=.01)
    assert certain['high'] == 100


def test_pairs_and_classes():
    summary = summarize(metas(), num_classes=6)
    assert summary['pairs'] == [
        dict(classes=[0, 1], taken=[2, 1], images=5),
        dict(classes=[1, 2], taken=[0, 1], images=3)
    ]
    assert [row['label'] for row in summary['classes']] == [0, 1, 2, 3]
    rows = {row.pop('label'): row for row in summary['classes']}
    assert rows[1] == dict(
        images=2, wrong=1, predicted=4, precision=25., recall=50., f1=33.33)
    assert rows[2]['precision'] is None and rows[2]['recall'] == 0
    # photos whose class is not known are predicted as something, too
    assert rows[3]['predicted'] == 1 and rows[3]['images'] == 0


def test_without_labels():
    summary = summarize(metas([(None, 4), (None, 4)]))
    assert summary['accuracy'] is None and summary['pairs'] == []
    assert summary['classes'] == [dict(label=4, predicted=2)]
    assert summarize([])['classes'] == []


FOUR = 10 * [(i, i) for i in range(4)]
UNKNOWN = 10 * [(None, i) for i in range(4)]


@pytest.mark.parametrize(
    'labels, even, level, words',
    [
        # of the 3/4 beyond a guess, nothing is left, or all
        (FOUR, 40 * [0], 'decide', '25.0 of 100.0 %'),
        (FOUR, 10 * [0, 1, 2, 3], 'not', '100.0 of 100.0 %'),
        # without a label, what stays is asked
        (UNKNOWN, 40 * [0], 'decide', '25.0 % of the'),
        (UNKNOWN, 10 * [0, 1, 2, 3], 'not', '100.0 % of the predictions stay '
         '(chance 25.0, the most frequent class 25.0)'),
        # a model that always says the same is always right
        (40 * [(2, 2)], 40 * [2], 'unknown', 'is not known: '),
        # but one that then says something else did look
        (40 * [(2, 2)], 40 * [1], 'decide', '0.0 of 100.0 %'),
        # few images tell nothing, whatever they say
        (FOUR[:4], [0, 0, 0, 0], 'unknown', '4 images are too few.'),
        (FOUR[:4], [0, 1, 2, 3], 'unknown', '4 images are too few.'),
    ])
def test_even_attention_beside_a_guess(labels, even, level, words):
    verdict, remark = judge(metas(labels, even), num_classes=4)
    assert verdict.level == level and words in verdict.sentence
    assert (f'Images measured: {len(labels)} with even attention.') in remark
    assert ('of one class' in remark) == (labels[0] == labels[-1])


def test_deletion_alone():
    """Of a file that knows nothing of even attention."""
    for number, level in ((16, 'not'), (9, 'unknown')):
        shown, chance = (
            dict(value=value, low=value, high=value, num_images=number)
            for value in (50., 40.))
        verdict, remark = judge(metas(), (shown, chance))
        assert verdict.level == level
        assert '50.0 % where chance' in verdict.sentence
        assert remark == f'Images measured: {number} by deletion.'
    assert judge(metas()) is None
