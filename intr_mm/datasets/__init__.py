from .aspect_ratio_sampler import AspectRatioSampler
from .cub_parts import CUBParts
from .detr_augment import DETRAugment
from .fixed_views import FixedViews
from .image_folders import ImageFolders
from .loading import LoadIntactImage, try_images
from .planar_resize import PlanarResize
from .ring_species import RingSpecies
from .stanford_dogs import StanfordDogs
from .view_shape_batch_sampler import ViewShapeBatchSampler

__all__ = [
    'AspectRatioSampler', 'CUBParts', 'DETRAugment', 'FixedViews',
    'ImageFolders', 'LoadIntactImage', 'PlanarResize', 'RingSpecies',
    'StanfordDogs', 'ViewShapeBatchSampler', 'try_images'
]
