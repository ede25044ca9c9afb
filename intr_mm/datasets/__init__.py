from .loading import LoadIntactImage
from .ring_species import RingSpecies

__all__ = ['LoadIntactImage', 'RingSpecies']
