from .aspect_ratio_sampler import AspectRatioSampler
from .image_size import image_size

__all__ = ['AspectRatioSampler', 'image_size']
