"""The screen shows what a user can use; the log file has all."""
import re

from mmengine.config import Config

from intr_mm.command_line.tool_runner import ToolRunner
from ..tiny import CONFIG, data_options


def test_screen_and_file(images, tmp_path, capfd):
    cfg = Config.fromfile(CONFIG)
    cfg.merge_from_dict(data_options(images))
    cfg.work_dir, cfg.experiment_name = str(tmp_path), 'on_screen'
    runner = ToolRunner.from_cfg(cfg)
    runner.logger.warning('of use')
    screen = ''.join(capfd.readouterr())
    log, = tmp_path.rglob('*.log')
    said = log.read_text()
    for words in ('System environment:', 'Config:\n', 'Hooks will be'):
        assert words in said and words not in screen
    assert 'of use' in said and 'of use' in screen and str(log) in screen
    assert len(screen.splitlines()) < 10


def test_a_short_test_tells_how_long_it_takes(images, tmp_path, capfd):
    """Of 11 batches every second, though the config says every 50th."""
    cfg = Config.fromfile(CONFIG)
    cfg.merge_from_dict(data_options(images))
    cfg.test_dataloader.batch_size = 1
    cfg.default_hooks.logger.interval = 50
    cfg.work_dir, cfg.experiment_name = str(tmp_path), 'short_test'
    ToolRunner.from_cfg(cfg).test()
    told = re.findall(r'Epoch\(test\) *\[ *(\d+)/11\] +eta: ',
                      capfd.readouterr().out)
    assert told == ['2', '4', '6', '8', '10']
