"""Which photos show the same, so that no split learns what another tests."""
import cv2
import numpy as np

_EDGE = 16
# Of 255 bits. On the 2,889 photos of CUB-50, copies that were compressed,
# reduced, brightened or blurred differ in at most 28 bits, those cut by 2 % in
# 30 to 62; of all 4.2 million pairs of photos, three are below, each two
# pictures of one scene, and the next one has 66.
MAX_DISTANCE = 50
# Edge in pixels from which a hash is computed.
MIN_EDGE = 4 * _EDGE
_ROWS_AT_ONCE = 1024


def perceptual_hash(image: np.ndarray) -> np.ndarray:
    """Signs of an image's lowest frequencies (pHash, with 255 bits).

    Args:
        image: BGR image (H, W, 3), uint8.

    Returns:
        bool (255, ): which of the coefficients of a cosine transform, without
        the mean, lie above their median.
    """
    small = cv2.resize(
        cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), (MIN_EDGE, MIN_EDGE),
        interpolation=cv2.INTER_AREA)
    low = cv2.dct(small.astype(np.float32))[:_EDGE, :_EDGE].ravel()[1:]
    return low > np.median(low)


def near_duplicates(hashes: np.ndarray,
                    max_distance: int = MAX_DISTANCE) -> np.ndarray:
    """Pairs of images that are almost the same.

    Args:
        hashes: bool (N, bits), see :func:`perceptual_hash`.
        max_distance: Largest number of bits in which the two differ.

    Returns:
        Indices (pairs, 2), the lower one first, in order.
    """
    signs = hashes.astype(np.float32) * 2 - 1
    pairs = [np.empty((0, 2), int)]
    for start in range(0, len(signs), _ROWS_AT_ONCE):
        same = signs[start:start + _ROWS_AT_ONCE] @ signs[start:].T
        close = same >= signs.shape[1] - 2 * max_distance
        found = np.argwhere(np.triu(close, 1))
        pairs.append(found + start)
    return np.concatenate(pairs)
