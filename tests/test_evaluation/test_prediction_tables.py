import csv
import json

import pytest
import torch
from mmengine.logging import MMLogger

from intr_mm.evaluation import PredictionTables, apply_temperature

NAMES = 'finch', 'grey owl', 'wren'
TRUE = 0, 0, 1, 1, 1
SCORES = ((.7, .2, .1), (.3, .6, .1), (.5, .4, .1), (.6, .4, 0), (.1, .8, .1))


def write(path, names=NAMES, **kwargs):
    metric = PredictionTables(str(path), **kwargs)
    metric.dataset_meta = dict(classes=names)
    for i in (3, 1, 0, 2, 4):  # as a sampler may order them
        metric.process(None, [
            dict(
                sample_idx=i,
                img_path=f'{i}.jpg',
                gt_label=torch.tensor([TRUE[i]]),
                pred_score=torch.tensor(SCORES[i]))
        ])
    assert metric.evaluate(5) == {}


def read(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def test_csv(tmp_path, caplog):
    MMLogger.get_instance('tables').addHandler(caplog.handler)
    write(tmp_path / 'out.csv', topk=2)
    rows = read(tmp_path / 'out.csv')
    assert [row['path'] for row in rows] == [f'{i}.jpg' for i in range(5)]
    assert rows[2] == dict(
        path='2.jpg',
        true='grey owl',
        predicted='finch',
        score='0.5',
        correct='False',
        top1='finch',
        top1_score='0.5',
        top2='grey owl',
        top2_score='0.4')
    by_class = {
        row.pop('class'): row
        for row in read(tmp_path / 'out_classes.csv')
    }
    assert by_class['grey owl'] == dict(
        images='3', predicted='2', precision='50.0', recall='33.33', f1='40.0')
    assert by_class['wren'] == dict(
        images='0', predicted='0', precision='', recall='', f1='')
    confusion = read(tmp_path / 'out_confusion.csv')
    assert confusion[1] == {
        'true \\ predicted': 'grey owl',
        'finch': '2',
        'grey owl': '1',
        'wren': '0'
    }
    table, = (m for m in caplog.messages if 'most confused' in m)
    assert '| finch | grey owl  | 3        | 5         |' in table
    assert 'wren' not in table


def test_json_at_a_temperature(tmp_path):
    write(tmp_path / 'out.json', temperature=2.)
    content = json.loads((tmp_path / 'out.json').read_text())
    first = content['predictions'][0]
    scores = apply_temperature(torch.tensor(SCORES[0]), 2.).exp()
    assert content['temperature'] == 2
    assert first['score'] == pytest.approx(float(scores[0]), abs=1e-5)
    assert [item['class'] for item in first['topk']] == list(NAMES)
    assert content['confusion'] == dict(
        names=list(NAMES), counts=[[1, 1, 0], [2, 1, 0], [0, 0, 0]])
    assert content['classes'][2]['recall'] is None


def test_classes_of_the_same_name(tmp_path, caplog):
    """As the two cranes of ImageNet, a bird and a machine."""
    MMLogger.get_instance('tables').addHandler(caplog.handler)
    names = ('crane', 'crane', 'wren')
    unique = ['crane (0)', 'crane (1)', 'wren']
    write(tmp_path / 'out.csv', names)
    rows = read(tmp_path / 'out.csv')
    correct = [row['correct'] for row in rows]
    assert correct == ['True', 'False', 'False', 'False', 'True']
    assert rows[2]['true'] == 'crane (1)' and rows[2]['top1'] == 'crane (0)'
    classes = read(tmp_path / 'out_classes.csv')
    assert [row['class'] for row in classes] == unique
    assert [row['images'] for row in classes] == ['2', '3', '0']
    confusion = read(tmp_path / 'out_confusion.csv')
    counts = [[row[name] for name in unique] for row in confusion]
    assert counts == [['1', '1', '0'], ['2', '1', '0'], ['0', '0', '0']]
    table, = (m for m in caplog.messages if 'most confused' in m)
    assert '| crane (0) | crane (1) | 3        | 5         |' in table

    write(tmp_path / 'out.json', names)
    content = json.loads((tmp_path / 'out.json').read_text())
    assert content['confusion']['names'] == unique
    assert [row['class'] for row in content['classes']] == unique
    assert not content['predictions'][2]['correct']


def test_several_classes_of_an_image_are_refused(tmp_path):
    metric = PredictionTables(str(tmp_path / 'out.csv'))
    with pytest.raises(
            ValueError, match="'a.jpg' can have several: write a .pkl"):
        metric.process(None, [
            dict(
                img_path='a.jpg',
                gt_label=torch.tensor([0, 1]),
                pred_score=torch.tensor(SCORES[0]))
        ])


def test_other_endings_are_refused():
    with pytest.raises(ValueError, match="writes '.csv' or '.json', not"):
        PredictionTables('out.txt')
