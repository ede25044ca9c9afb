import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.utils import digit_version

SETTING = Path('/sys/kernel/mm/transparent_hugepage/enabled')
CODE = """
import torch
from intr_mm.engine import use_huge_pages
use_huge_pages()
ones = torch.ones(2**24)
lines = open('/proc/self/smaps_rollup').read().splitlines()
print([line.split()[1] for line in lines if 'AnonHugePages' in line][0])
"""


@pytest.mark.skipif(
    digit_version(torch.__version__) < digit_version('2.2')
    or torch.cuda.is_available(),
    reason='PyTorch takes no huge pages here')
@pytest.mark.skipif(
    not SETTING.exists() or '[madvise]' not in SETTING.read_text(),
    reason='Linux does not let programs choose huge pages')
def test_tensors_lie_in_huge_pages_unless_refused():
    env = {k: v for k, v in os.environ.items() if k != 'THP_MEM_ALLOC_ENABLE'}
    kib = []
    for choice in ({}, dict(THP_MEM_ALLOC_ENABLE='0')):
        result = subprocess.run([sys.executable, '-c', CODE],
                                env={
                                    **env,
                                    **choice
                                },
                                capture_output=True,
                                text=True)
        assert result.returncode == 0, result.stderr
        kib.append(int(result.stdout.split()[-1]))
    with_pages, without = kib
    # 64 MiB are asked for, of which the last page may be cut
    assert with_pages >= without + 2**15
