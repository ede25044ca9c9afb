"""Implementations that do little, for processes to hold."""
import os

import torch


class Healthy:
    """Gives the same logits of one image again and again."""

    def predict(self, case):
        return lambda: torch.arange(case.num_classes)[None], None


class Killed(Healthy):
    """Ends its process as the system does when memory runs out."""

    def predict(self, case):
        return lambda: os._exit(137), None


class Faulty(Healthy):
    """Asks for more memory than there is, or has a bug."""

    def starve(self, case):
        return lambda: torch.empty(2**60), None

    def fail(self, case):
        return lambda: 1 / 0, None
