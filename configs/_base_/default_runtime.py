# defaults to use registries in mmpretrain
default_scope = 'mmpretrain'

# register the parts of this package
custom_imports = dict(imports=['intr_mm'], allow_failed_imports=False)

# configure default hooks
default_hooks = dict(
    # record the time of every iteration.
    timer=dict(type='IterTimerHook'),

    # print log every 50 iterations.
    logger=dict(type='LoggerHook', interval=50),

    # enable the parameter scheduler.
    param_scheduler=dict(type='ParamSchedulerHook'),

    # save a checkpoint per epoch, whole or not at all.
    checkpoint=dict(type='AtomicCheckpointHook', interval=1),

    # set sampler seed in distributed environment.
    sampler_seed=dict(type='DistSamplerSeedHook'),

    # make a resumed run repeat the unbroken one.
    epoch_seed=dict(type='EpochSeedHook'),

    # stop before training or testing on what does not fit together.
    dataset_check=dict(type='DatasetCheckHook'),
    checkpoint_check=dict(type='CheckpointCheckHook'),

    # stop at the first loss that is not finite.
    finite_loss=dict(type='FiniteLossHook'),

    # give the model to metrics that run it again.
    prepare_metrics=dict(type='PrepareMetricsHook'),

    # draw where classes look, for every 500th sample validated or tested.
    visualization=dict(type='AttentionVisualizationHook', interval=500),
)

# configure environment
env_cfg = dict(
    # whether to enable cudnn benchmark
    cudnn_benchmark=False,

    # set multi process parameters
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),

    # set distributed parameters, the tools take gloo where there is no GPU
    dist_cfg=dict(backend='nccl'),
)

# set visualizer
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='UniversalVisualizer', vis_backends=vis_backends)

# set log level
log_level = 'INFO'

# load from which checkpoint
load_from = None

# whether to resume training from the loaded checkpoint
resume = False

# a fixed seed, `deterministic=True` makes runs on a GPU repeatable too
randomness = dict(seed=0, deterministic=False)
