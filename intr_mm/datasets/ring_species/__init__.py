from .dataset import RingSpecies

__all__ = ['RingSpecies']
