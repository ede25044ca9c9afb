import os.path as osp
import re

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.hooks import CheckpointHook, Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner, find_latest_checkpoint
from mmpretrain.registry import HOOKS
from torch import nn

from intr_mm.checkpoints import (AtomicLocalBackend, adapt_foreign,
                                 carry_classes)
from ..model_utils import unwrap_model


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """Checkpoints that survive a kill at any moment.

    They are written whole or not at all, ``last_checkpoint`` names a
    complete file at any time, and an old checkpoint is removed only when the
    one that takes its place is on the disk. Storage other than the local disk
    is used as in :class:`mmengine.hooks.CheckpointHook`.

    Args:
        **kwargs: Those of :class:`mmengine.hooks.CheckpointHook`.
    """

    def before_train(self, runner: Runner) -> None:
        """Choose where checkpoints go."""
        super().before_train(runner)
        if type(self.file_backend) is LocalBackend:
            self.backend_args = dict(backend='AtomicLocalBackend')
            self.file_backend = get_file_backend(
                backend_args=self.backend_args)

    def _save_checkpoint_with_step(self, runner: Runner, step: int,
                                   meta: dict) -> None:
        outdated = None
        if self.max_keep_ckpts > 0 and step not in self.keep_ckpt_ids:
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                outdated = self.keep_ckpt_ids.popleft()
            self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info('keep_ckpt_ids',
                                           list(self.keep_ckpt_ids))

        filename = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, filename)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            filename,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args)
        if is_main_process():
            AtomicLocalBackend().put_text(
                self.last_ckpt, osp.join(runner.work_dir, 'last_checkpoint'))
            if outdated is not None:
                self._remove(
                    self.file_backend.join_path(
                        self.out_dir, self.filename_tmpl.format(outdated)))

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        if not self.save_best:
            return
        for key in self.key_indicators:
            if metrics and key not in (*metrics, 'auto'):
                raise ValueError(
                    f"save_best='{key}' of {type(self).__name__} is none of "
                    f"the metrics {', '.join(metrics)}: set one of them, or "
                    "'auto'.")
        # MMEngine removes the former best before it writes the new one,
        # unless it knows of none
        if len(self.key_indicators) == 1:
            former = [self.best_ckpt_path]
            self.best_ckpt_path = None
            super()._save_best_checkpoint(runner, metrics)
            self.best_ckpt_path = self.best_ckpt_path or former[0]
            current = [self.best_ckpt_path]
        else:
            kept = dict(self.best_ckpt_path_dict)
            former = list(kept.values())
            self.best_ckpt_path_dict = dict.fromkeys(kept)
            super()._save_best_checkpoint(runner, metrics)
            for key, path in kept.items():
                self.best_ckpt_path_dict[
                    key] = self.best_ckpt_path_dict[key] or path
            current = list(self.best_ckpt_path_dict.values())
        if is_main_process():
            for path in set(former) - set(current) - {None}:
                self._remove(path)

    def _remove(self, path: str) -> None:
        if self.file_backend.isfile(path):
            self.file_backend.remove(path)


@HOOKS.register_module()
class CheckpointCheckHook(Hook):
    """Refuse checkpoints that do not fit the model.

    MMEngine logs a warning and goes on with random weights. Here, a
    checkpoint to test or to resume has to fit in every weight. One to start
    training from (``load_from``) may differ, as a new class count does, but
    has to share weights with the model. Those of DETR and of the official
    INTR code count as what an ``INTRClassifier`` makes of them.
    """

    # before EMAHook
    priority = 'ABOVE_NORMAL'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check what a file holds.

        Raises:
            ValueError: The checkpoint is of another kind or shape, or of a
                relative of DETR.
        """
        name = runner._load_from or find_latest_checkpoint(runner.work_dir)
        model = unwrap_model(runner.model)
        try:
            foreign = adapt_foreign(checkpoint, model)
        except ValueError as error:
            raise ValueError(
                f"Checkpoint '{name}' cannot be taken: {error}.") from None
        content = checkpoint
        if foreign is not None:
            foreign.log()
            content = dict(state_dict=foreign.state_dict)
            # What the model and EMAHook load is converted already.
            checkpoint['state_dict'] = foreign.state_dict
        problem = self._find_problem(runner, model, content)
        if problem is not None:
            raise ValueError(f"Checkpoint '{name}' {problem}.")
        is_training = isinstance(runner.optim_wrapper, OptimWrapper)
        if is_training and not runner._resume:
            dataset = runner.train_dataloader.dataset
            classes = getattr(dataset, 'metainfo', {}).get('classes')
            if classes is not None:
                carry_classes(model, checkpoint, classes)

    def _find_problem(self, runner: Runner, model: nn.Module,
                      checkpoint: dict) -> str | None:
        state_dict = {
            re.sub(r'^module\.', '', key): value
            for key, value in checkpoint.get('state_dict', checkpoint).items()
        }
        if not state_dict.keys() & model.state_dict().keys():
            return ('shares no weight with the model: give a checkpoint of '
                    f'{type(model).__name__}')
        if runner._resume and not {'meta', 'optimizer'} <= checkpoint.keys():
            return ('holds weights but no training state to resume: start '
                    'from it with `--cfg-options load_from=...` instead of '
                    '--resume')
        is_training = isinstance(runner.optim_wrapper, OptimWrapper)
        if runner._resume or not is_training:
            return self._find_difference(model, state_dict, checkpoint)
        return None

    @staticmethod
    def _find_difference(model: nn.Module, state_dict: dict,
                         checkpoint: dict) -> str | None:
        meta = checkpoint.get('meta', {}).get('dataset_meta') or {}
        classes = meta.get('classes')
        num_classes = getattr(
            getattr(model, 'head', None), 'num_classes', None)
        if None not in (classes, num_classes) and len(classes) != num_classes:
            return (f'was trained on {len(classes)} classes but '
                    f'model.head.num_classes is {num_classes}: use its own '
                    'config, or set `--cfg-options model.head.num_classes='
                    f'{len(classes)}`')
        try:
            model.load_state_dict(state_dict)
        except RuntimeError as error:
            first, *others = str(error).strip().split('\n\t')[1:]
            more = f' and {len(others)} more' if others else ''
            return (f'does not fit the model ({first.strip().rstrip(". ")}'
                    f'{more}): use the config it was trained with')
        return None
