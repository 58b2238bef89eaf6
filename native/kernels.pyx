"""Compiled kernels of the data path, on plain buffers: anchor decoding with NMS, letterbox, masks.

Every function has a twin of the same name in `native.reference`: plain NumPy, the place to read what is computed.
Arguments are checked with the interpreter lock held; the work itself runs without it. Nothing is kept between
calls, so any number of threads may call at once, on different pictures.
"""

from libc.float cimport FLT_MAX
from libc.math cimport exp, floor, isfinite, sqrt, sqrtf
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

import numpy as np

from native import arguments
from native.detections import Detections

__all__ = ["decode_detections", "ellipse", "gaussian", "letterbox", "pixelate", "solid"]

cdef extern from "simd.h" nogil:
    enum:
        LOOK_AHEAD
        OVERLAP_BLOCK
        STRIP_ROWS
        STRIP_LANES
    void prefetch(const void *address)
    Py_ssize_t passing(const float *scores, Py_ssize_t n, float threshold, uint32_t *found)
    struct Band:
        Py_ssize_t start
        Py_ssize_t n
        float top
        float bottom
    bint overlaps_kept(
        const Band *bands, Py_ssize_t band_count, Py_ssize_t own, const float *kept, Py_ssize_t room,
        const float *box, float area, float threshold
    )
    void blend_rows(const uint8_t *upper, const uint8_t *lower, uint16_t weight, Py_ssize_t n, uint16_t *out)
    void sample_row(
        const uint16_t *row, const int32_t *left, const float *weight_left, const float *weight_right, float bias,
        Py_ssize_t n, int channels, uint16_t *taps, float *red, float *green, float *blue
    )
    void normalise_row(
        const uint8_t *row, Py_ssize_t n, int channels, float scale, float bias, float *red, float *green, float *blue
    )
    Py_ssize_t reflect(Py_ssize_t i, Py_ssize_t n)
    void box_pass(
        const uint16_t *src, Py_ssize_t src_step, uint16_t *dst, Py_ssize_t dst_step, Py_ssize_t rows,
        Py_ssize_t columns, Py_ssize_t radius
    )
    void add_taps(float *sums, const uint16_t *a, const uint16_t *b, float weight, Py_ssize_t n)
    void round_taps(const float *sums, uint16_t *out, Py_ssize_t n)
    void widen_row(const uint8_t *src, uint16_t *out, Py_ssize_t n)
    void round_row(const uint16_t *src, uint8_t *out, Py_ssize_t n)
    void load_strip(const uint8_t *src, Py_ssize_t step, Py_ssize_t rows, Py_ssize_t columns, uint16_t *strip)
    void store_strip(const uint16_t *strip, Py_ssize_t rows, Py_ssize_t columns, uint16_t *dst)


cdef packed_rows(image):
    """Whether the samples of every row lie side by side (rows may be anywhere, upside down too)."""
    strides = image.strides
    return (
        (strides[2] == 1 or image.shape[2] == 1)
        and (strides[1] == image.shape[2] or image.shape[1] == 1)
    )


include "decode.pxi"
include "letterbox.pxi"
include "masks.pxi"
