"""The test scenes of intr_demo_evidence.py, each also repainted.

See intr_demo_counterfactual.py.

Command:  python tools/test.py configs/intr_demo_evidence_counterfactual.py \\
              CHECKPOINT
          with a checkpoint of intr_demo_evidence.py.
"""
_base_ = ['./intr_demo_evidence.py']

default_hooks = dict(visualization=dict(enable=False))

test_dataloader = dict(dataset=dict(counterfactual=True))
test_evaluator = [dict(type='CounterfactualFlips')]
