import json

import pytest

from intr_mm.apis import INTRInferencer
from intr_mm.checkpoints import store_temperature, stored_temperature
from ..tiny import CONFIG, data_options, save_model, tiny_model, write_birds


@pytest.fixture
def checkpoint(tmp_path):
    return save_model(
        tiny_model(std=5), tmp_path / 'tiny.pth', ('a', 'b', 'c'))


def test_content_of_the_checkpoint_counts(checkpoint, tmp_path):
    assert stored_temperature(checkpoint) is None
    path = store_temperature(checkpoint, 1.5, split='val')
    assert json.loads(open(path).read())['split'] == 'val'
    assert stored_temperature(checkpoint) == 1.5
    save_model(tiny_model(seed=1), tmp_path / 'tiny.pth')
    assert stored_temperature(checkpoint) is None


@pytest.mark.parametrize('content', [
    'x', '[]', '{"temperature": 1}', '{"temperature": 0, "sha256": ""}',
    '{"temperature": "1", "sha256": ""}'
])
def test_damaged_file_is_named(checkpoint, content):
    with open(f'{checkpoint}.temperature.json', 'w') as file:
        file.write(content)
    with pytest.raises(ValueError, match='temperature.json. holds no temper'):
        stored_temperature(checkpoint)


def test_inferencer_and_test_use_it(checkpoint, images, tmp_path, run_tool,
                                    monkeypatch):
    write_birds(tmp_path / 'birds', (48, 48))
    bird = str(tmp_path / 'birds/bird_0.png')
    monkeypatch.chdir(tmp_path)

    def test(name):
        options = dict(data_options(images), experiment_name=name)
        run_tool('test.py', CONFIG, checkpoint, '--out', 'out.json',
                 '--cfg-options',
                 *(f'{key}={value}' for key, value in options.items()))
        return json.loads(open('out.json').read())['predictions'][0]['score']

    scores = [test('before')]
    raw = INTRInferencer(CONFIG, checkpoint)(bird)[0]['pred_score']
    store_temperature(checkpoint, 4.)
    scores.append(test('after'))
    assert scores[1] < scores[0]
    inferencer = INTRInferencer(CONFIG, checkpoint)
    assert inferencer.temperature == 4
    assert inferencer(bird)[0]['pred_score'] < raw
    assert INTRInferencer(
        CONFIG, checkpoint, temperature=1)(bird)[0]['pred_score'] == raw
