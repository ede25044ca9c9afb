import logging
import os.path as osp

from mmengine.evaluator import DumpResults
from mmengine.fileio import dump
from mmengine.logging import print_log
from mmpretrain.registry import METRICS

from intr_mm_flags import ending


@METRICS.register_module()
class OrderedDumpResults(DumpResults):
    """Dump predictions in the order of the dataset, whatever the sampler's.

    They are sorted by ``sample_idx``, which ``PackInputs`` passes on unless
    its ``meta_keys`` leave it out. Where it is missing, or several samples
    share one as in a ``ConcatDataset``, the order in which they were drawn
    stays, and a warning says so.

    Args:
        out_file_path: File to write, ``*.pkl`` or ``*.pickle``.
        **kwargs: Other arguments of :class:`mmengine.evaluator.DumpResults`.
    """

    def __init__(self, out_file_path: str, **kwargs) -> None:
        stem = osp.splitext(out_file_path)[0]
        super().__init__(stem + ending(out_file_path), **kwargs)
        self.out_file_path = out_file_path

    def compute_metrics(self, results: list[dict]) -> dict:
        """Write the predictions."""
        for result in results:
            # of AttentionVisualizationHook, on the batches that it draws from
            for key in ('', '_classes', '_evidence', '_even'):
                result.pop(f'drawing{key}', None)
        dump(
            in_data_order(results, self.out_file_path), self.out_file_path,
            ending(self.out_file_path)[1:])
        print_log(f"Wrote {self.out_file_path}.", 'current')
        return {}


def in_data_order(results: list[dict], out_file_path: str) -> list[dict]:
    """Sort predictions by ``sample_idx``, or warn that it is not possible."""
    indices = [result.get('sample_idx') for result in results]
    if None not in indices and len(set(indices)) == len(indices):
        return sorted(results, key=lambda result: result['sample_idx'])
    print_log(
        f"'{out_file_path}' holds predictions in the order of the sampler, as "
        "their 'sample_idx' is missing or not unique: list it in the "
        'meta_keys of PackInputs, and evaluate datasets one by one.',
        logger='current',
        level=logging.WARNING)
    return results
