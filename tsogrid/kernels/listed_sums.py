"""Sums along the lists of `tsogrid.kernels.circles`, over a copy of the box that the lists count in.

A box in which every pixel is good and every variance known is summed without asking: the numbers are the same to the bit.
"""

import numpy as np

from tsogrid.kernels.compile import part
from tsogrid.kernels.statistics import INDEX


@part
def read_box(data, error, frame, box, value, variance):  # type: ignore[no-untyped-def]
    """Copy a box, 0 where a pixel is bad, and its variances if there are errors; return whether none is missing."""
    columns = box[3] - box[2]
    missing = np.int64(0)
    for row in range(box[0], box[1]):
        offset = (row - box[0]) * columns - box[2]
        pixels = data[frame, INDEX(row)]
        if error.size == 0:
            for column in range(box[2], box[3]):
                pixel = np.float64(pixels[INDEX(column)])
                finite = pixel - pixel == 0.0
                value[INDEX(offset + column)] = pixel if finite else 0.0
                missing += np.int64(0) if finite else np.int64(1)
            continue
        sigmas = error[frame, INDEX(row)]
        for column in range(box[2], box[3]):
            pixel, sigma = np.float64(pixels[INDEX(column)]), np.float64(sigmas[INDEX(column)])
            finite = pixel - pixel == 0.0
            square = sigma * sigma if finite else 0.0
            value[INDEX(offset + column)] = pixel if finite else 0.0
            variance[INDEX(offset + column)] = square
            missing += np.int64(0) if finite & (square - square == 0.0) else np.int64(1)
    return missing == 0


@part
def mark_good(data, frame, box, good):  # type: ignore[no-untyped-def]
    """Fill a box with 1 where a pixel is good, else 0; return whether all are."""
    columns = box[3] - box[2]
    bad = np.int64(0)
    for row in range(box[0], box[1]):
        offset = (row - box[0]) * columns - box[2]
        for column in range(box[2], box[3]):
            pixel = np.float64(data[frame, INDEX(row), INDEX(column)])
            finite = pixel - pixel == 0.0
            good[INDEX(offset + column)] = 1.0 if finite else 0.0
            bad += np.int64(0) if finite else np.int64(1)
    return bad == 0


@part
def sum_clean(pixel, weights, first, start, stop, run, value, variance, linear, out):  # type: ignore[no-untyped-def]
    """As `sum_circles`, where no pixel is bad and no variance unknown: nothing has to be asked of single pixels.

    Sums have two strands, so that no addition waits for the one before; a run is mostly one or two pixels long.
    """
    whole_sum = other_sum = whole_variance = other_variance = 0.0
    whole_count = np.int64(0)
    for k in range(out.shape[0]):
        for m in range(run[k], run[k + 1]):
            begin, end = INDEX(start[INDEX(m)]), INDEX(stop[INDEX(m)])
            whole_count += np.int64(end - begin)
            second = end - INDEX(1)
            more = 1.0 if second > begin else 0.0
            whole_sum += value[begin]
            whole_variance += variance[begin]
            other_sum += more * value[second]
            other_variance += more * variance[second]
            for i in range(begin + INDEX(1), second):
                whole_sum += value[i]
                whole_variance += variance[i]
        edge_sum = edge_variance = edge_area = 0.0
        next_sum = next_variance = next_area = 0.0
        last = first[k + 1] - 1
        for m in range(first[k], last, 2):
            at, beside = INDEX(pixel[INDEX(m)]), INDEX(pixel[INDEX(m + 1)])
            weight, other = weights[INDEX(m)], weights[INDEX(m + 1)]
            edge_sum += weight * value[at]
            next_sum += other * value[beside]
            edge_variance += (weight if linear else weight * weight) * variance[at]
            next_variance += (other if linear else other * other) * variance[beside]
            edge_area += weight
            next_area += other
        if (last - first[k]) % 2 == 0 and last >= first[k]:
            at, weight = INDEX(pixel[INDEX(last)]), weights[INDEX(last)]
            edge_sum += weight * value[at]
            edge_variance += (weight if linear else weight * weight) * variance[at]
            edge_area += weight
        out[k, 0] = (whole_sum + other_sum) + (edge_sum + next_sum)
        out[k, 1] = (whole_variance + other_variance) + (edge_variance + next_variance)
        out[k, 2] = whole_count + (edge_area + next_area)
        out[k, 3] = 0.0


@part
def sum_circles(pixel, weights, first, start, stop, run, value, variance, good, linear, out):  # type: ignore[no-untyped-def]
    """Sum, variance, area and number of bad pixels of every circle, in the strands of `sum_clean`: to the bit the same."""
    whole_sum = other_sum = whole_variance = other_variance = whole_good = 0.0
    whole_count = np.int64(0)
    for k in range(out.shape[0]):
        for m in range(run[k], run[k + 1]):
            begin, end = INDEX(start[INDEX(m)]), INDEX(stop[INDEX(m)])
            whole_count += np.int64(end - begin)
            second = end - INDEX(1)
            for i in range(begin, max(second, begin + INDEX(1))):
                whole_sum += value[i]
                whole_variance += variance[i]
                whole_good += good[i]
            if second > begin:
                other_sum += value[second]
                other_variance += variance[second]
                whole_good += good[second]
        edge_sum = edge_variance = edge_good = edge_bad = 0.0
        next_sum = next_variance = next_good = 0.0
        for m in range(first[k], first[k + 1]):
            at, weight = INDEX(pixel[INDEX(m)]), weights[INDEX(m)]
            factor = weight if linear else weight * weight
            if (m - first[k]) % 2 == 0:
                edge_sum += weight * value[at]
                edge_variance += factor * variance[at]
                edge_good += weight * good[at]
            else:
                next_sum += weight * value[at]
                next_variance += factor * variance[at]
                next_good += weight * good[at]
            edge_bad += 1.0 - good[at]
        out[k, 0] = (whole_sum + other_sum) + (edge_sum + next_sum)
        out[k, 1] = (whole_variance + other_variance) + (edge_variance + next_variance)
        out[k, 2] = whole_good + (edge_good + next_good)
        out[k, 3] = whole_count - whole_good + edge_bad
