from .cub_parts import CUBParts
from .loading import LoadIntactImage
from .ring_species import RingSpecies
from .stanford_dogs import StanfordDogs

__all__ = ['CUBParts', 'LoadIntactImage', 'RingSpecies', 'StanfordDogs']
