import os.path as osp

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from ..atomic_backend import AtomicLocalBackend


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """Checkpoints that survive a kill at any moment.

    They are written whole or not at all, ``last_checkpoint`` names a
    complete file at any time, and an old checkpoint is removed only when the
    one that takes its place is on the disk. Storage other than the local disk
    is used as in :class:`mmengine.hooks.CheckpointHook`.

    Args:
        kwargs: Same as :class:`mmengine.hooks.CheckpointHook`.
    """

    def before_train(self, runner: Runner) -> None:
        """Choose where checkpoints go.

        Args:
            runner: The runner of the training process.
        """
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
