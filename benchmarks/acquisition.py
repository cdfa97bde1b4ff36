"""Speed of scoring, pooling and choosing, each beside its naive form in one run."""

import os
import resource
import tracemalloc

import numpy as np
import torch
from harness import Row, at_least, at_most, flags, once, report, seconds
from scipy import ndimage
from torch.nn import functional

from napari_alseg import acquisition, regions, segmentation

CLASSES, HEIGHT, WIDTH = 19, 1024, 2048


def dense_ripu(probability: torch.Tensor, radius: int) -> torch.Tensor:
    """Return RIPU's score as its authors compute it: one-hot, depthwise convolution."""
    classes, side = probability.shape[0], 2 * radius + 1
    one_hot = functional.one_hot(probability.argmax(0), classes)
    weight = torch.ones(classes, 1, side, side)
    counts = functional.conv2d(
        one_hot.permute(2, 0, 1)[None].float(), weight, padding=radius, groups=classes
    )[0]
    pixels = counts.sum(0)
    share = counts / pixels
    impurity = -(share * torch.log(share + 1e-6)).sum(0)
    doubt = -(probability * torch.log(probability + 1e-6)).sum(0)
    total = functional.conv2d(doubt[None, None], weight[:1], padding=radius)[0, 0]
    return impurity * total / pixels / np.log(classes) ** 2


def naive_windows(score: np.ndarray, count: int, block_radius: int) -> np.ndarray:
    """Return the centres that one search through the whole map a pick finds."""
    left = score.copy()
    centres = np.empty((count, 2), np.int64)
    for centre in centres:
        centre[:] = row, column = divmod(int(left.argmax()), score.shape[1])
        start, first = max(row - block_radius, 0), max(column - block_radius, 0)
        left[
            start : row + block_radius + 1, first : column + block_radius + 1
        ] = -np.inf
    return centres


def masked_means(score: np.ndarray, region_map: np.ndarray, count: int) -> np.ndarray:
    """Return the means of the first regions, one mask each."""
    return np.array([score[region_map == region + 1].mean() for region in range(count)])


def maps(probability: torch.Tensor, quick: bool) -> list[Row]:
    """Measure RIPU's maps against dense convolutions and against themselves."""
    radius_1, radius_32, dense = seconds(
        lambda: acquisition.ripu(probability, 1),
        lambda: acquisition.ripu(probability, 32),
        lambda: dense_ripu(probability, 1),
        repeats=2,
    )
    # the dense form at radius 16 takes minutes: in a hurry, both on some of the rows
    part = probability[:, : HEIGHT // 16 if quick else HEIGHT].contiguous()
    wide = once(lambda: dense_ripu(part, 16))
    (radius_16,) = seconds(lambda: acquisition.ripu(part, 16))
    return [
        at_least(
            "ripu, radius 1, against dense convolution", dense / radius_1, "x faster", 5
        ),
        at_least(
            "ripu, radius 16, against dense convolution",
            wide / radius_16,
            "x faster",
            100,
        ),
        at_most("ripu, radius 32, against radius 1", radius_32 / radius_1, "x", 1.5),
    ]


def windows(score: np.ndarray) -> list[Row]:
    """Measure the greedy choice of windows, once the picks are known to be the same."""
    naive = naive_windows(score, 1026, 2)
    centres, _ = regions.choose_windows(score, 1, 1026)
    if not np.array_equal(naive, centres):
        raise SystemExit("choose_windows and the naive greedy pick different windows")
    slow, fast = seconds(
        lambda: naive_windows(score, 1026, 2),
        lambda: regions.choose_windows(score, 1, 1026),
    )
    return [
        at_least(
            "choose_windows, 1026 picks, against scans", slow / fast, "x faster", 50
        )
    ]


def pooling(score: np.ndarray) -> list[Row]:
    """Measure the mean of 2000 regions against masks and against SciPy."""
    region_map = regions.grid(score.shape, 40, 50)
    count, sample = 2000, 100
    regions.pool(score, region_map)  # compiles
    fast, loop, scipy = seconds(
        lambda: regions.pool(score, region_map),
        lambda: masked_means(score, region_map, sample),
        lambda: ndimage.mean(score, region_map, np.arange(1, count + 1)),
    )
    loop *= count / sample
    return [
        at_least(
            "pool mean, 2000 regions, against masks", loop / fast, "x faster", 200
        ),
        at_least(
            "pool mean, 2000 regions, against scipy.ndimage",
            scipy / fast,
            "x faster",
            2,
        ),
    ]


def choosing(rng: np.random.Generator) -> list[Row]:
    """Measure choices over large pools."""
    scores = rng.random(3_000_000, np.float32)
    costs = rng.integers(200, 600, scores.size)
    (time,) = seconds(lambda: regions.choose_top(scores, costs, 1e7), repeats=3)
    tracemalloc.start()
    regions.choose_top(scores, costs, 1e7)
    megabytes = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    descriptors = rng.random((160_000, 8), np.float32)
    ones = np.ones(len(descriptors))
    spread = once(lambda: regions.choose_spread(descriptors, ones, 3000, rng))
    return [
        at_most("choose_top, 3 million regions", time, "s", 1),
        at_most("choose_top, 3 million regions", megabytes, "MB", 200),
        at_most("choose_spread, 3000 of 160 000 regions", spread, "s", 10),
    ]


def folder(rng: np.random.Generator) -> list[Row]:
    """Measure superpixels of many images against one after another."""
    cores = len(os.sched_getaffinity(0))
    noise = rng.integers(0, 40, (4 * cores, 360, 480, 3))
    images = list((noise + 3 * np.arange(360)[:, None, None] // 20).astype(np.uint8))
    single, many = seconds(
        lambda: [regions.superpixels(image) for image in images],
        lambda: list(regions.of_many(regions.superpixels, images, workers=cores)),
        repeats=3,
    )
    work = f"superpixels of {len(images)} images, {cores} cores, against one"
    return [at_least(work, single / many, "x faster", 0.75 * cores)]


def crf(rng: np.random.Generator) -> list[Row]:
    """Measure the CRF on an image of CamVid's size, blobs with noise."""
    probability = random_probability(11, 360, 480)
    blobs = ndimage.gaussian_filter(rng.random((360, 480, 3)), (8, 8, 0))
    image = (255 * (blobs - blobs.min()) / np.ptp(blobs)).astype(np.uint8)
    (time,) = seconds(
        lambda: segmentation.refine(
            probability, image, iterations=5, radius=24, colour=6, weight=5
        )
    )
    return [at_most("CRF 11 x 360 x 480, 5 iterations", time, "s", 1.5)]


def memory(probability: torch.Tensor) -> list[Row]:
    """Measure the memory that scoring one large image takes, and five of them."""
    acquisition.ripu(probability[:, :8, :8].contiguous(), 1)  # compiles
    start = peak_megabytes()
    acquisition.ripu(probability, 1)
    first = peak_megabytes()
    for _ in range(5):
        acquisition.ripu(probability, 1)
    return [
        at_most("ripu, memory beside the image's 160 MB", first - start, "MB", 160),
        at_most(
            "ripu, more of it after five images", peak_megabytes() - first, "MB", 20
        ),
    ]


def peak_megabytes() -> float:
    """Return the most memory this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def random_probability(*shape: int) -> torch.Tensor:
    """Return a random distribution of shape (C, H, W), made without a second copy."""
    probability = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    probability.pow_(4)
    return probability.div_(probability.sum(0))


def main() -> None:
    """Measure everything, print the table and one line of JSON."""
    quick = flags(__doc__ or "").parse_args().quick
    rng = np.random.default_rng(0)
    probability = random_probability(CLASSES, HEIGHT, WIDTH)
    score = rng.random((HEIGHT, WIDTH), np.float32)
    rows = [
        *memory(probability),
        *maps(probability, quick),
        *windows(score),
        *pooling(score),
        *choosing(rng),
        *folder(rng),
        *crf(rng),
    ]
    report("acquisition", rows, quick=quick)


if __name__ == "__main__":
    main()
