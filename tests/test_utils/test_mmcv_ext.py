import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import mmcv
import pytest
import torch

from intr_mm.utils.mmcv_ext import EXT_NAME, stand_in_for_mmcv_ext

ROOT = Path(__file__).parents[2]
without_ops = pytest.mark.skipif(
    find_spec(EXT_NAME) is not None, reason='this mmcv has compiled ops')


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
    assert EXT_NAME not in sys.modules
    assert collect_env()['MMCV Compiler'] == 'n/a'


@without_ops
def test_missing_dunder_is_missing():
    from mmcv.ops.info import ext_module
    assert not hasattr(ext_module, '__path__')
    assert stand_in_for_mmcv_ext()


def test_compiled_ext_is_left_alone(tmp_path):
    """A find-able ``mmcv._ext`` (here a file) stays what it is."""
    (tmp_path / '_ext.py').write_text('def __getattr__(name):\n'
                                      '    if name.startswith("__"):\n'
                                      '        raise AttributeError(name)\n'
                                      '    return lambda *args: "compiled"\n')
    code = f'''
import mmcv
mmcv.__path__.insert(0, {str(tmp_path)!r})
from intr_mm.utils.mmcv_ext import stand_in_for_mmcv_ext
assert stand_in_for_mmcv_ext() is False
from mmcv.ops.info import ext_module, get_compiler_version
assert ext_module.__file__ == {str(tmp_path / '_ext.py')!r}
assert get_compiler_version() == 'compiled'
'''
    subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True)


def test_mmdet_layers_import_in_a_fresh_process():
    code = 'import intr_mm, mmdet.models.layers'
    subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True)
