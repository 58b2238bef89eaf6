/* Inner loops of the kernels that gain from wide vectors.
 *
 * The extension is compiled for the base instruction set of its platform.  On x86-64 with glibc each loop marked
 * WIDE is compiled a second time for AVX2, and the dynamic linker picks the version that the processor can run.
 * Elsewhere (arm64, musl, sanitizer builds) the one plain version is used.
 *
 * Sums and products are never contracted to fused operations (-ffp-contract=off), so both versions give the
 * same bits.  "8.8" is unsigned fixed point: a level from 0 to 255 times 256, in 16 bits.
 */
#ifndef NATIVE_SIMD_H
#define NATIVE_SIMD_H

#include <float.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifndef __has_attribute
#define __has_attribute(name) 0
#endif

/* AddressSanitizer is not ready yet when the resolvers of target_clones run. */
#if defined(__x86_64__) && defined(__GLIBC__) && __has_attribute(target_clones) && !defined(__SANITIZE_ADDRESS__)
#define WIDE __attribute__((target_clones("avx2", "default")))
#else
#define WIDE
#endif

enum {
    STRIP_ROWS = 32,   /* rows of the picture that the horizontal box passes take at a time */
    STRIP_LANES = 128, /* samples side by side in one box pass; 32 rows of up to 4 channels */
    SCORE_BLOCK = 32,   /* scores looked at before asking whether one passed */
    LOOK_AHEAD = 16,    /* anchors whose values are asked of memory before they are needed */
    OVERLAP_BLOCK = 32 /* boxes compared before asking whether one was hit */
};

/* ---- decoding and non-maximum suppression ------------------------------------------------------------------ */

static inline void prefetch(const void *address) { __builtin_prefetch(address); }

/* Numbers of the finite scores at or above the threshold, in order; `found` has room for n. */
WIDE static ptrdiff_t passing(const float *scores, ptrdiff_t n, float threshold, uint32_t *found)
{
    ptrdiff_t count = 0, i = 0;
    for (; i + SCORE_BLOCK <= n; i += SCORE_BLOCK) {
        int32_t any = 0;
        for (ptrdiff_t j = i; j < i + SCORE_BLOCK; j++)
            any |= scores[j] >= threshold;
        /* No branch on the single score: to the processor it is as good as random. */
        for (ptrdiff_t j = i; any && j < i + SCORE_BLOCK; j++) {
            found[count] = (uint32_t)j;
            count += (scores[j] >= threshold) & (scores[j] <= FLT_MAX);
        }
    }
    for (; i < n; i++) {
        found[count] = (uint32_t)i;
        count += (scores[i] >= threshold) & (scores[i] <= FLT_MAX);
    }
    return count;
}

/* Kept boxes with their centres in one horizontal band of the picture, and how far these boxes reach. */
struct Band {
    ptrdiff_t start; /* in the arrays of kept boxes */
    ptrdiff_t n;
    float top;
    float bottom;
};

/* Whether a box (x1, y1, x2, y2) overlaps a kept one with an IoU above the threshold, written without the division:
 * intersection > threshold * union.  `kept` is x1s, y1s, x2s, y2s and areas, `room` floats each.  Bands are read in
 * whole blocks, so behind their n boxes up to the next multiple of OVERLAP_BLOCK there must be empty ones. */
WIDE static int overlaps_kept(const struct Band *bands, ptrdiff_t band_count, ptrdiff_t own, const float *kept,
                              ptrdiff_t room, const float *box, float area, float threshold)
{
    const float x1 = box[0], y1 = box[1], x2 = box[2], y2 = box[3];
    for (ptrdiff_t turn = own; turn < own + band_count; turn++) { /* its own band first: most fall there */
        const struct Band *band = &bands[turn < band_count ? turn : turn - band_count];
        if (band->top >= y2 || band->bottom <= y1)
            continue;
        const float *x1s = kept + band->start, *y1s = x1s + room, *x2s = y1s + room, *y2s = x2s + room;
        const float *areas = y2s + room;
        for (ptrdiff_t start = 0; start < band->n; start += OVERLAP_BLOCK) {
            int32_t hit = 0;
            for (ptrdiff_t i = start; i < start + OVERLAP_BLOCK; i++) {
                const float left = x1s[i] > x1 ? x1s[i] : x1, right = x2s[i] < x2 ? x2s[i] : x2;
                const float top = y1s[i] > y1 ? y1s[i] : y1, bottom = y2s[i] < y2 ? y2s[i] : y2;
                const float w = right - left > 0.0f ? right - left : 0.0f;
                const float inter = w * (bottom - top); /* a negative one is above no threshold */
                hit |= inter > threshold * (areas[i] + area - inter);
            }
            if (hit)
                return 1;
        }
    }
    return 0;
}

/* ---- letterbox --------------------------------------------------------------------------------------------- */

/* Vertical half of bilinear sampling: two rows of n bytes to 8.8; weight of the lower row in 1/65536. */
WIDE static void blend_rows(const uint8_t *restrict upper, const uint8_t *restrict lower, uint16_t weight,
                            ptrdiff_t n, uint16_t *restrict out)
{
    const uint16_t rest = (uint16_t)(65536u - weight);
    if (weight == 0) {
        for (ptrdiff_t i = 0; i < n; i++)
            out[i] = (uint16_t)(upper[i] << 8);
        return;
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        const uint16_t a = (uint16_t)(upper[i] << 8), b = (uint16_t)(lower[i] << 8);
        out[i] = (uint16_t)((((uint32_t)a * rest) >> 16) + (((uint32_t)b * weight) >> 16));
    }
}

/* Horizontal half: n pixels from an 8.8 row, the weights carrying the normalisation, to planes R, G, B.
 * The taps are first gathered, four samples each, so that the arithmetic runs on neighbours. */
WIDE static void sample_row(const uint16_t *restrict row, const int32_t *restrict left,
                            const float *restrict weight_left, const float *restrict weight_right, float bias,
                            ptrdiff_t n, int channels, uint16_t *restrict taps, float *restrict red,
                            float *restrict green, float *restrict blue)
{
    uint16_t *restrict a = taps, *restrict b = taps + 4 * n;
    for (ptrdiff_t x = 0; x < n; x++) {
        memcpy(a + 4 * x, row + left[x], 8);
        memcpy(b + 4 * x, row + left[x] + channels, 8);
    }
    if (channels < 3) {
        for (ptrdiff_t x = 0; x < n; x++)
            red[x] = a[4 * x] * weight_left[x] + b[4 * x] * weight_right[x] + bias;
        memcpy(green, red, (size_t)n * sizeof(float));
        memcpy(blue, red, (size_t)n * sizeof(float));
        return;
    }
    for (ptrdiff_t x = 0; x < n; x++) {
        blue[x] = a[4 * x] * weight_left[x] + b[4 * x] * weight_right[x] + bias;
        green[x] = a[4 * x + 1] * weight_left[x] + b[4 * x + 1] * weight_right[x] + bias;
        red[x] = a[4 * x + 2] * weight_left[x] + b[4 * x + 2] * weight_right[x] + bias;
    }
}

/* n pixels without resampling to planes R, G, B: value * scale + bias. */
WIDE static void normalise_row(const uint8_t *restrict row, ptrdiff_t n, int channels, float scale, float bias,
                               float *restrict red, float *restrict green, float *restrict blue)
{
    if (channels == 3) {
        for (ptrdiff_t x = 0; x < n; x++) {
            blue[x] = row[3 * x] * scale + bias;
            green[x] = row[3 * x + 1] * scale + bias;
            red[x] = row[3 * x + 2] * scale + bias;
        }
    } else if (channels == 4) {
        for (ptrdiff_t x = 0; x < n; x++) {
            blue[x] = row[4 * x] * scale + bias;
            green[x] = row[4 * x + 1] * scale + bias;
            red[x] = row[4 * x + 2] * scale + bias;
        }
    } else {
        for (ptrdiff_t x = 0; x < n; x++)
            red[x] = row[channels * x] * scale + bias;
        memcpy(green, red, (size_t)n * sizeof(float));
        memcpy(blue, red, (size_t)n * sizeof(float));
    }
}

/* ---- blur -------------------------------------------------------------------------------------------------- */

/* Index i of a line of n samples continued at both ends by reflection without repeating the end (reflect-101). */
static inline ptrdiff_t reflect(ptrdiff_t i, ptrdiff_t n)
{
    if (i >= 0 && i < n)
        return i;
    if (n == 1)
        return 0;
    const ptrdiff_t period = 2 * (n - 1);
    i %= period;
    if (i < 0)
        i += period;
    return i < n ? i : period - i;
}

/* One box filter of 2 * radius + 1 rows down the columns of an 8.8 picture, at most STRIP_LANES columns:
 * a running sum per column, exact in integers, so that it cannot drift. */
WIDE static void box_pass(const uint16_t *src, ptrdiff_t src_step, uint16_t *dst, ptrdiff_t dst_step,
                          ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t radius)
{
    int32_t sum[STRIP_LANES];
    const float inverse = 1.0f / (float)(2 * radius + 1);
    memset(sum, 0, sizeof sum);
    for (ptrdiff_t y = -radius; y <= radius; y++) {
        const uint16_t *row = src + reflect(y, rows) * src_step;
        for (ptrdiff_t i = 0; i < columns; i++)
            sum[i] += row[i];
    }
    for (ptrdiff_t y = 0; y < rows; y++) {
        const uint16_t *enters = src + reflect(y + radius + 1, rows) * src_step;
        const uint16_t *leaves = src + reflect(y - radius, rows) * src_step;
        uint16_t *restrict out = dst + y * dst_step;
        for (ptrdiff_t i = 0; i < columns; i++) {
            out[i] = (uint16_t)(int32_t)((float)sum[i] * inverse + 0.5f);
            sum[i] += enters[i] - leaves[i];
        }
    }
}

/* sum += weight * (a + b), n samples: one pair of taps of a symmetric kernel. */
WIDE static void add_taps(float *restrict sum, const uint16_t *a, const uint16_t *b, float weight, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++)
        sum[i] += weight * (float)(a[i] + b[i]);
}

WIDE static void round_taps(const float *restrict sum, uint16_t *restrict out, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++)
        out[i] = (uint16_t)(int32_t)(sum[i] + 0.5f);
}

/* Bytes to 8.8 and back, rounded. */
WIDE static void widen_row(const uint8_t *restrict src, uint16_t *restrict out, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++)
        out[i] = (uint16_t)(src[i] << 8);
}

WIDE static void round_row(const uint16_t *restrict src, uint8_t *restrict out, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++)
        out[i] = (uint8_t)((src[i] + 128) >> 8);
}

typedef uint16_t Lane8 __attribute__((vector_size(16)));

#if defined(__clang__) || __GNUC__ >= 12
#define ZIP_LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define ZIP_HIGH(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#else
#define ZIP_LOW(a, b) __builtin_shuffle(a, b, (Lane8){0, 8, 1, 9, 2, 10, 3, 11})
#define ZIP_HIGH(a, b) __builtin_shuffle(a, b, (Lane8){4, 12, 5, 13, 6, 14, 7, 15})
#endif

/* Transposes 8 x 8: three rounds of zipping row i with row i + 4 (each moves one bit of the column number into
 * the row number). */
static inline void transpose8(Lane8 v[8])
{
    for (int round = 0; round < 3; round++) {
        Lane8 zipped[8];
        for (int i = 0; i < 4; i++) {
            zipped[2 * i] = ZIP_LOW(v[i], v[i + 4]);
            zipped[2 * i + 1] = ZIP_HIGH(v[i], v[i + 4]);
        }
        memcpy(v, zipped, sizeof zipped);
    }
}

/* rows <= STRIP_ROWS rows of bytes to a strip of 8.8 lying on its side: strip[column][row].
 * Lanes without a row are zero. */
WIDE static void load_strip(const uint8_t *src, ptrdiff_t step, ptrdiff_t rows, ptrdiff_t columns, uint16_t *strip)
{
    for (ptrdiff_t y = 0; y < STRIP_ROWS; y += 8) {
        ptrdiff_t x = 0;
        for (; y + 8 <= rows && x + 8 <= columns; x += 8) {
            Lane8 tile[8];
            for (int i = 0; i < 8; i++) {
                const uint8_t *pixels = src + (y + i) * step + x;
                for (int j = 0; j < 8; j++)
                    tile[i][j] = (uint16_t)(pixels[j] << 8);
            }
            transpose8(tile);
            for (int i = 0; i < 8; i++)
                memcpy(strip + (x + i) * STRIP_ROWS + y, &tile[i], sizeof tile[i]);
        }
        for (; x < columns; x++)
            for (ptrdiff_t i = y; i < y + 8; i++)
                strip[x * STRIP_ROWS + i] = i < rows ? (uint16_t)(src[i * step + x] << 8) : 0;
    }
}

/* The way back: strip[column][row] to rows of 8.8, `columns` samples each. */
WIDE static void store_strip(const uint16_t *strip, ptrdiff_t rows, ptrdiff_t columns, uint16_t *dst)
{
    for (ptrdiff_t y = 0; y < rows; y += 8) {
        ptrdiff_t x = 0;
        for (; y + 8 <= rows && x + 8 <= columns; x += 8) {
            Lane8 tile[8];
            for (int i = 0; i < 8; i++)
                memcpy(&tile[i], strip + (x + i) * STRIP_ROWS + y, sizeof tile[i]);
            transpose8(tile);
            for (int i = 0; i < 8; i++)
                memcpy(dst + (y + i) * columns + x, &tile[i], sizeof tile[i]);
        }
        for (; x < columns; x++)
            for (ptrdiff_t i = y; i < y + 8 && i < rows; i++)
                dst[i * columns + x] = strip[x * STRIP_ROWS + i];
    }
}

#endif
