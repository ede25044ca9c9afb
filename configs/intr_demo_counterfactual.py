"""The test scenes of intr_demo.py, each also repainted to a ring neighbour.

Tells whether the prediction follows the one part that was repainted, which
says more about what the model uses than its attention does.

Command:  python tools/test.py configs/intr_demo_counterfactual.py CHECKPOINT
          with a checkpoint of intr_demo.py.
Cost:     1,200 pairs, half a minute on 2 cores with the drawing.
Expected: 97.7 % of the correct predictions flip to exactly the neighbour
          (1,169 pairs), measured by us with `make demo`; in 24.6 % of those
          originals attention had peaked on the part that is repainted.
"""
_base_ = ['./intr_demo.py']

default_hooks = dict(visualization=dict(enable=False))

test_dataloader = dict(dataset=dict(counterfactual=True))
test_evaluator = [dict(type='CounterfactualFlips', stride=8)]
