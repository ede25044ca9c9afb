import hashlib
import io
import os.path as osp

import torch
from mmengine.dist import all_gather_object, is_main_process, master_only
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.hooks import CheckpointHook, Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import CheckpointLoader, Runner, find_latest_checkpoint
from mmpretrain.registry import HOOKS

from intr_mm.checkpoints import (AtomicLocalBackend, carry_classes,
                                 check_class_order, class_names, find_weights,
                                 fit_checkpoint, identify)
from ..model_utils import unwrap_model
from .checks import dataset_classes


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

        self._move_best(runner)
        loop = runner.train_loop
        if loop.iter >= loop.max_iters:
            runner.logger.warning(
                f'All {loop.max_epochs} epochs of this run are done, so '
                'nothing is trained: raise train_cfg.max_epochs to go on.')

    def _move_best(self, runner: Runner) -> None:
        """Look for former checkpoints where they are now. Those in the folder
        of which this one is a copy are another run's, not to be removed."""
        info = runner.message_hub.runtime_info
        for key in [k for k in info if k.startswith('best_ckpt')]:
            if info[key]:
                info[key] = self.file_backend.join_path(
                    self.out_dir, osp.basename(info[key]))
        if not self.save_best:
            return
        if len(self.key_indicators) == 1:
            self.best_ckpt_path = info.get('best_ckpt')
        else:
            for name in self.key_indicators:
                self.best_ckpt_path_dict[name] = info.get(f'best_ckpt_{name}')

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

    @master_only
    def _publish_model(self, runner: Runner, ckpt_path: str) -> None:
        """Write what ``published_keys`` name. MMEngine puts a hash into the
        name that is not that of the file, which then looks damaged."""
        checkpoint = CheckpointLoader.load_checkpoint(ckpt_path, 'cpu')
        with io.BytesIO() as f:
            torch.save(
                {
                    key: checkpoint[key]
                    for key in checkpoint if key in self.published_keys
                }, f)
            content = f.getvalue()
        digest = hashlib.sha256(content).hexdigest()[:8]
        path = f'{osp.splitext(ckpt_path)[0]}-{digest}.pth'
        self.file_backend.put(content, path)
        runner.logger.info(f"'{ckpt_path}' is published as '{path}'.")

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

    def before_train(self, runner: Runner) -> None:
        """Check that all processes resumed alike.

        Raises:
            RuntimeError: They did not, as where one finds no checkpoint.
        """
        starts = all_gather_object(runner.iter)
        if len(set(starts)) > 1:
            raise RuntimeError(
                'The processes of this run start at the iterations '
                f'{", ".join(map(str, starts))}: let all of them reach the '
                'same checkpoint, by the same path.')

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check what a file holds.

        Raises:
            ValueError: The checkpoint is of another kind or shape, or of a
                relative of DETR, or its classes have other numbers in the
                data.
        """
        name = runner._load_from or find_latest_checkpoint(runner.work_dir)
        is_ours = identify(find_weights(checkpoint)) is None
        if runner._resume and not (is_ours and {'meta', 'optimizer'}
                                   <= checkpoint.keys()):
            raise ValueError(
                f"Checkpoint '{name}' holds weights but no training state to "
                'resume: start from it with `--cfg-options load_from=...` '
                'instead of --resume.')
        model = unwrap_model(runner.model)
        is_training = isinstance(runner.optim_wrapper, OptimWrapper)
        # What the model and EMAHook load is converted already.
        checkpoint['state_dict'] = fit_checkpoint(
            model, checkpoint, name, whole=runner._resume or not is_training)
        loop = runner.train_loop if is_training else runner.test_loop
        dataset = getattr(getattr(loop, 'dataloader', None), 'dataset', None)
        classes = dataset_classes(dataset)
        if classes is None:
            return
        if is_training and not runner._resume:
            carry_classes(model, checkpoint, classes)
        else:
            field = 'train_dataloader' if is_training else 'test_dataloader'
            check_class_order(class_names(checkpoint), classes, field)
