import re

import pytest

from ..tiny import write_images


@pytest.mark.parametrize('options',
                         [[], ['train_dataloader.batch_sampler=None']])
def test_padding_of_simulated_epochs(tmp_path, run_tool, capsys, options):
    write_images(tmp_path)
    run_tool('analysis_tools/batch_padding.py', 'configs/intr_folder.py',
             '--epochs', 2, '--cfg-options', f'data_root={tmp_path}',
             'train_dataloader.batch_size=3', *options)
    out = capsys.readouterr().out
    assert '18 images, batches of 3' in out
    shares = [[float(share) for share in re.findall(r'([\d.]+)%', line)]
              for line in out.splitlines() if line.endswith('%')]
    assert len(shares) == 3
    for at_random, by_shape in shares:
        assert 0 < by_shape < at_random < 100
    assert shares[2] == pytest.approx(
        [sum(pair) / 2 for pair in zip(*shares[:2])], abs=.1)
