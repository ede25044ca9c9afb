import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import mmcv
import mmpretrain
import pytest
import torch

from intr_mm import compat

ROOT = Path(__file__).parents[1]
without_ops = pytest.mark.skipif(
    find_spec(compat.EXT_NAME) is not None,
    reason='this mmcv has compiled ops')


def test_installed_versions_are_in_the_tested_range():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        compat.check_versions()


@pytest.mark.parametrize('version', ['2.0.1', '99.0.0'])
def test_other_versions_warn(monkeypatch, version):
    monkeypatch.setattr(mmcv, '__version__', version)
    with pytest.warns(UserWarning, match=f'but mmcv {version} is'):
        compat.check_versions()


def test_highest_tested_version_does_not_warn(monkeypatch):
    high = compat.TESTED_VERSIONS['mmpretrain'][1]
    monkeypatch.setattr(mmpretrain, '__version__', high)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        compat.check_versions()


@pytest.mark.parametrize('missing', [['mmdet'], list(compat.TESTED_VERSIONS)])
def test_missing_packages_are_named_with_the_remedy(missing):
    code = f'''
import importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: (
    None if name in {missing} else find_spec(name, package))
import intr_mm
'''
    run = subprocess.run([sys.executable, '-c', code],
                         cwd=ROOT,
                         capture_output=True,
                         text=True)
    assert run.returncode == 1
    message = run.stderr.strip().splitlines()[-1]
    assert message.startswith('ImportError: intr_mm needs')
    assert f'but {", ".join(missing)} cannot be imported' in message
    assert message.count('. ') == 0 and message.endswith('.')
    for path in ('requirements/onedl.txt', 'requirements/mminstall.txt'):
        assert path in message
        assert (ROOT / path).is_file()


def test_nothing_installed_says_what_to_install():
    """Without site-packages not even torch is there."""
    run = subprocess.run([sys.executable, '-S', '-c', 'import intr_mm'],
                         cwd=ROOT,
                         capture_output=True,
                         text=True)
    assert 'ImportError: intr_mm needs mmengine' in run.stderr


@pytest.mark.parametrize('version', ['4.49.0', '5.23.0'])
def test_transformers_5_is_named_where_mmpretrain_fails(monkeypatch, version):

    def fail(name):
        raise TypeError('NoneType takes no arguments')

    monkeypatch.setattr(compat, 'import_module', fail)
    monkeypatch.setattr(compat, 'version', lambda name: version)
    error, message = ((ImportError, 'beside transformers 5.23.0: run `pip')
                      if version > '5' else (TypeError, 'takes no arguments'))
    with pytest.raises(error, match=message):
        compat.check_import()


@without_ops
def test_op_says_what_to_install():
    from mmcv.ops import nms
    with pytest.raises(ImportError) as error:
        nms(torch.rand(2, 4), torch.rand(2), iou_threshold=0.5)
    message = str(error.value)
    assert '"nms"' in message
    assert f'mim install mmcv=={mmcv.__version__}' in message
    assert message.count('. ') == 0 and message.endswith('.')


@without_ops
def test_environment_still_reports_no_ops():
    from mmcv.utils import collect_env
    assert compat.EXT_NAME not in sys.modules
    assert collect_env()['MMCV Compiler'] == 'n/a'


@without_ops
def test_missing_dunder_is_missing():
    from mmcv.ops.info import ext_module
    assert not hasattr(ext_module, '__path__')
    assert compat.stand_in_for_mmcv_ext()


@pytest.mark.slow
def test_compiled_ext_is_left_alone(tmp_path):
    """A find-able ``mmcv._ext`` (here a file) stays what it is."""
    (tmp_path / '_ext.py').write_text('def __getattr__(name):\n'
                                      '    if name.startswith("__"):\n'
                                      '        raise AttributeError(name)\n'
                                      '    return lambda *args: "compiled"\n')
    code = f'''
import mmcv
mmcv.__path__.insert(0, {str(tmp_path)!r})
from intr_mm.compat import stand_in_for_mmcv_ext
assert stand_in_for_mmcv_ext() is False
from mmcv.ops.info import ext_module, get_compiler_version
assert ext_module.__file__ == {str(tmp_path / '_ext.py')!r}
assert get_compiler_version() == 'compiled'
'''
    subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True)


@pytest.mark.slow
def test_mmdet_layers_import_in_a_fresh_process():
    code = 'import intr_mm, mmdet.models.layers'
    subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True)
