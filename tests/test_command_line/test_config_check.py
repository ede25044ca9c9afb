"""What is refused before anything is built."""
from copy import deepcopy

import pytest
from mmengine.config import Config, DictAction

from intr_mm.command_line import merge_options
from intr_mm.command_line.config_check import (DEFAULTS, TOP_LEVEL,
                                               _check_part, check_config)
from intr_mm.command_line.config_reading import read_config
from ..tiny import DEMO, ROOT

NEEDS = ('model', 'train_dataloader', 'train_cfg', 'optim_wrapper')
CONFIGS = sorted((ROOT / 'configs').glob('*.py'))


@pytest.fixture(scope='module')
def demo():
    return read_config(DEMO)


# option, and what the sentence has to hold
REFUSED = {
    'randomness.seed=1.5': ['randomness.seed', 'whole number', '1.5'],
    'train_dataloader.num_workers=100000': ['0 to 1024', '100000'],
    'modl.head.num_heads=2': ['modl', 'mean model'],
    'optim_wraper.optimizer.lr=1': ['optim_wraper', 'optim_wrapper'],
    'train_dataloder.batch_size=3': ['train_dataloder', 'train_dataloader'],
    'rezume=True': ['rezume', 'did you mean resume'],
    'embed_dims=64': ['embed_dims', 'model.head'],
    'model.heads.num_layers=2': ['heads', 'INTRClassifier', 'mean head'],
    'model.head.num_layer=3': ['INTRHead', "'num_layer'", 'mean num_layers'],
    'model.head.loss.weigth=3': ['CrossEntropyLoss', 'weigth'],
    'model.backbone.dept=18': ['TinyResNet', 'dept', 'mean depth'],
    'train_cfg.max_epoch=3': ['EpochBasedTrainLoop', 'mean max_epochs'],
    'val_cfg.fp61=True': ['ValLoop', 'fp61'],
    'train_dataloader.batchsize=3': ['DataLoader', 'batchsize'],
    'train_dataloader.dataset.num_sample=3': ['RingSpecies', 'num_samples'],
    'train_dataloader.sampler.shufle=1': ['DefaultSampler', 'shuffle'],
    'optim_wrapper.optimizer.learning_rate=1': ['AdamW', 'learning_rate'],
    'optim_wrapper.clip_grad.maxnorm=1': ['maxnorm', 'max_norm'],
    'param_scheduler.0.ende=9': ['LinearLR', 'ende', 'mean end'],
    'default_hooks.checkpoint.intervall=2': ['intervall', 'mean interval'],
    'default_hooks.checkpiont.interval=2': ['default_hooks.checkpoint'],
    'randomness.sed=3': ['set_randomness', 'mean seed'],
    'env_cfg.cudnn_bench=True': ['cudnn_benchmark'],
    'test_evaluator.0.top=1': ['Accuracy', 'topk'],
    'test_evaluator.2.explainer.againts=1': ['EvidenceExplainer', 'against'],
    'model.head.type=INTRHed': ['INTRHed', 'mean INTRHead'],
    'model.backbone.type=ResNot': ['ResNot', 'ResNet'],
    'train_dataloader.dataset.type=RingSpecie': ['RingSpecies'],
    'optim_wrapper.optimizer.type=AdamV': ['AdamV', 'Adam'],
    'visualizer.vis_backends.0.type=LocalVisBack': ['LocalVisBackend'],
    'model.head.num_layers=two': ['num_layers', 'int', "'two'"],
    'model.head.num_layers=1.5': ['num_layers', 'int', '1.5'],
    'train_cfg.max_epochs=many': ['max_epochs', "'many'"],
    'default_hooks=abc': ['default_hooks', 'Dict', "'abc'"],
    'val_dataloader=abc': ['val_dataloader', "'abc'"],
    'experiment_name=[1]': ['experiment_name', 'str', '[1]'],
    'load_from=5': ['load_from', 'str', '5'],
    'train_dataloader.batch_size=0': ['batch_size', 'at least 1', 'got 0'],
    'train_dataloader.batch_size=four': ['batch_size', "'four'"],
    'train_dataloader.num_workers=-1': ['num_workers', '-1'],
    'train_dataloader.batch_sampler.type=ViewShapeBatchSample':
    ['mean ViewShapeBatchSampler'],
    'optim_wrapper.optimizer.lr=nan': ['optimizer.lr', 'nan'],
    'optim_wrapper.optimizer.lr=-1': ['optimizer.lr', '-1'],
    'optim_wrapper.optimizer.lr=inf': ['optimizer.lr', 'finite', 'inf'],
    'optim_wrapper.optimizer.lr=abc': ['optimizer.lr', "'abc'"],
    'optim_wrapper.clip_grad.max_norm=-1': ['max_norm', 'above 0', '-1'],
    'optim_wrapper.accumulative_counts=0': ['accumulative_counts', 'got 0'],
    'train_cfg.val_interval=0': ['val_interval', 'got 0'],
    'default_hooks.checkpoint.interval=0': ['checkpoint.interval', 'got 0'],
    'default_hooks.checkpoint.max_keep_ckpts=0': ['max_keep_ckpts', 'got 0'],
    'default_hooks.logger.interval=-1': ['logger.interval', '-1'],
    'model.head.dropout=1.5': ['head.dropout', '0 to 1', '1.5'],
    'randomness.seed=-1': ['seed', '-1'],
    'env_cfg.mp_cfg.mp_start_method=fok': ['fok', 'spawn'],
    'log_level=LOUD': ['LOUD', 'INFO'],
    'default_scope=nowhere': ['nowhere', 'default_scope'],
    'model=None': ['model is None', 'demo.py'],
    'model.head=abc': ['model.head', "'abc'"],
    'train_dataloader=None': ['train_dataloader is None'],
    'val_evaluator=None': ['val_evaluator', 'val_dataloader'],
    'train_cfg.max_epochs.x=1': ['train_cfg.max_epochs.x=1', 'int'],
    'param_scheduler.9.type=x': ['param_scheduler.9.type', '9'],
    'custom_imports.imports=intr_mn': ['intr_mn', 'PYTHONPATH'],
}
TAKEN = [
    'default_hooks.checkpoint.interval=-1', 'default_hooks.logger=None',
    'model.neck.num_layers=0', 'train_dataloader.num_workers=0',
    'optim_wrapper.clip_grad=None', 'train_dataloader.drop_last=True',
    'param_scheduler=None', 'train_cfg.max_epochs=1', 'load_from=a.pth',
    'randomness.seed=None', 'optim_wrapper.optimizer.lr=0', 'custom_hooks=[]',
    'model.head.num_classes=None', 'find_unused_parameters=True'
]


def check(cfg, option):
    key, _, value = option.partition('=')
    cfg = deepcopy(cfg)
    merge_options(cfg, {key: DictAction._parse_iterable(value)})
    check_config(cfg, *NEEDS)


@pytest.mark.parametrize('option', REFUSED)
def test_what_nobody_reads_or_could_build_is_refused(demo, option):
    with pytest.raises(ValueError) as error:
        check(demo, option)
    sentence = str(error.value)
    assert len(sentence) < 600 and '\n' not in sentence
    for words in (option.split('=')[0].split('.')[0], *REFUSED[option]):
        assert words in sentence


def test_a_model_that_is_no_dict(demo):
    cfg = deepcopy(demo)
    cfg.model = 1
    with pytest.raises(ValueError, match='model=1 has to be a dict with a t'):
        check_config(cfg, 'train_dataloader')


@pytest.mark.parametrize('option', TAKEN)
def test_what_is_meant_so_is_taken(demo, option):
    check(demo, option)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_own_configs_are_taken(path):
    check_config(read_config(path), 'model', 'test_dataloader', 'test_cfg')


# text of a file c.py, and what the sentence has to hold
FILES = {
    'syntax': ('model = dict(\n    head=dict(num_layers=2)\n', ['line', '(']),
    'name': ('x = 1\nmodel = dict(type=INTR)\n', ['line 2', "'INTR'"]),
    'raises': ('\nx = 1 / 0\n', ['line 2', 'division by zero']),
    'import': ('import no_such_module\n', ['no_such_module']),
    'custom import': ("custom_imports = dict(imports=['no_such'], "
                      'allow_failed_imports=False)\n', ['no_such']),
    'own base': ("_base_ = './c.py'\n", ['its own _base_']),
    'no base': ("_base_ = './nothing.py'\n", ['nothing.py']),
    'no base of a package':
    ("_base_ = 'mmpretrain::no/such.py'\n", ['such.py']),
    'base of a number': ('_base_ = 5\n', ['_base_']),
    'bytes': ('model = 1\0\n', ['null bytes']),
    'no model': ('train_dataloader = dict()\n', ['model is None']),
    'bad base': ("_base_ = './b.py'\n", ['b.py', 'line 1', 'a _base_ of']),
}


@pytest.mark.parametrize('text, words', FILES.values(), ids=FILES)
def test_a_config_that_cannot_be_read(tmp_path, text, words):
    (tmp_path / 'c.py').write_text(text)
    (tmp_path / 'b.py').write_text('x = y\n')
    with pytest.raises(ValueError) as error:
        read_config(str(tmp_path / 'c.py'), 'model')
    sentence = str(error.value)
    assert 'c.py' in sentence
    for word in words:
        assert word in sentence


def test_drop_last_beside_a_batch_sampler():
    cfg = read_config(str(ROOT / 'configs' / 'intr_cub.py'))
    check_config(cfg)
    cfg.train_dataloader.drop_last = False
    with pytest.raises(ValueError, match='set .*batch_sampler.drop_last'):
        check_config(cfg)


def test_a_missing_config_has_neighbours(tmp_path):
    with pytest.raises(FileNotFoundError, match='mean .*configs/intr_cub.py'):
        read_config(str(tmp_path / 'intr_cup.py'))
    with pytest.raises(ValueError, match='is a folder'):
        read_config(str(tmp_path))


def test_a_misspelt_key_of_a_file(demo):
    cfg = Config(dict(demo, optim_wraper=dict()), filename=DEMO)
    with pytest.raises(ValueError, match='optim_wraper of .*intr_demo.py'):
        check_config(cfg)
    # a name for use within the file is nobody else's business
    check_config(Config(dict(demo, optimizers=dict()), filename=DEMO))


def check_parts(parts):
    for key in parts:
        _check_part(Config(parts)[key], key, TOP_LEVEL.get(key), DEFAULTS)


@pytest.mark.parametrize('part, typo', [
    (dict(val_evaluator=dict(metrics=[dict(type='Accuracy', topk=(1, ))])),
     dict(val_evaluator=dict(metrics=[dict(type='Accuracy', top=1)]))),
    (dict(
        optim_wrapper=dict(
            constructor='OwnConstructor',
            generator=dict(optimizer=dict(type='SGD', lr=1.)))), None),
    (dict(custom_hooks=[dict(type='EMAHook', priority='LOW')]),
     dict(custom_hooks=[dict(type='FiniteLossHook', priorty='LOW')])),
    (dict(
        train_dataloader=dict(
            dataset=dict(
                type='RepeatDataset',
                times=2,
                dataset=dict(type='RingSpecies', num_samples=4)))),
     dict(
         train_dataloader=dict(
             dataset=dict(
                 type='RepeatDataset',
                 times=2,
                 dataset=dict(type='RingSpecies', number=4))))),
])
def test_parts_within_parts(part, typo):
    check_parts(part)
    if typo is not None:
        with pytest.raises(ValueError, match='takes no argument'):
            check_parts(typo)
