# Solid, mosaic and blurs, in place; part of kernels.pyx.

cdef struct Box:
    uint8_t *pixels      # of the box's top left corner
    Py_ssize_t step      # bytes from row to row, of either sign
    Py_ssize_t width
    Py_ssize_t height
    int channels
    int colours          # channels without alpha


cdef run_mask(image, x1, y1, x2, y2, int (*mask)(Box, Py_ssize_t) noexcept nogil, Py_ssize_t strength):
    """Check, clip, and run a mask on the pixels of the box in place, or on a copy where rows are not packed."""
    picture = arguments.mask_image(image)
    clipped = arguments.clip_box(picture, x1, y1, x2, y2)
    if clipped is None:
        return
    left, top, right, bottom = clipped
    region = picture[top:bottom, left:right]
    work = region if packed_rows(region) else np.ascontiguousarray(region)
    cdef uint8_t[:, :, :] view = work
    cdef Box box
    box.pixels = &view[0, 0, 0]
    box.step = view.strides[0]
    box.width = view.shape[1]
    box.height = view.shape[0]
    box.channels = <int>view.shape[2]
    box.colours = box.channels - (box.channels + 1) % 2
    cdef int status
    with nogil:
        status = mask(box, strength)
    if status:
        raise MemoryError
    if work is not region:
        region[...] = work


cdef int solid_box(Box box, Py_ssize_t strength) noexcept nogil:
    cdef Py_ssize_t x, y
    cdef int c
    cdef uint8_t *row
    for y in range(box.height):
        row = box.pixels + y * box.step
        if box.colours == box.channels:
            memset(row, 0, box.width * box.channels)
        else:
            for x in range(box.width):
                for c in range(box.colours):
                    row[x * box.channels + c] = 0
    return 0


cdef int pixelate_box(Box box, Py_ssize_t block) noexcept nogil:
    cdef Py_ssize_t x, y, left, top = 0, right, bottom, count
    cdef uint64_t sums[4]
    cdef uint8_t means[4]
    cdef uint8_t *pixel
    cdef int c
    while top < box.height:
        bottom = min(top + block, box.height)
        left = 0
        while left < box.width:
            right = min(left + block, box.width)
            count = (bottom - top) * (right - left)
            memset(sums, 0, sizeof(sums))
            for y in range(top, bottom):
                pixel = box.pixels + y * box.step + left * box.channels
                for x in range(left, right):
                    for c in range(box.colours):
                        sums[c] += pixel[c]
                    pixel += box.channels
            for c in range(box.colours):
                means[c] = <uint8_t>((2 * sums[c] + count) / (2 * count))
            for y in range(top, bottom):
                pixel = box.pixels + y * box.step + left * box.channels
                for x in range(left, right):
                    for c in range(box.colours):
                        pixel[c] = means[c]
                    pixel += box.channels
            left = right
        top = bottom
    return 0


# From this kernel size on three box filters stand in for the Gaussian; below, they would be too coarse.
cdef enum:
    BOX_PASSES_FROM = 15


cdef void box_radii(double sigma, Py_ssize_t n, Py_ssize_t *radii) noexcept nogil:
    """Radii of three box filters with the variance of a Gaussian (P. Kovesi, "Fast almost-Gaussian filtering")."""
    # The reflected line has the period 2 (n - 1): a Gaussian that wide leaves only its mean. Wider ones would cost
    # time and change nothing; beyond 16,000 the sums of a pass would not fit in 32 bits.
    sigma = min(sigma, max(2.0 * (n - 1), 16.0), 16000.0)
    cdef double variance = 12 * sigma * sigma
    cdef Py_ssize_t narrow = <Py_ssize_t>sqrt(variance / 3 + 1)
    narrow -= (narrow + 1) % 2
    cdef double m = (variance - 3 * narrow * narrow - 12 * narrow - 9) / (-4 * narrow - 4)
    cdef int i, narrow_passes = <int>floor(m + 0.5)
    for i in range(3):
        radii[i] = (narrow if i < narrow_passes else narrow + 2) / 2


cdef int box_blur(Box box, double sigma, uint16_t *out) noexcept nogil:
    """Three box filters each way to `out` (height rows of width * channels, 8.8).

    Along the rows the picture is turned on its side, a strip of STRIP_ROWS rows at a time, so that both directions
    run down columns, side by side in vector lanes.
    """
    cdef Py_ssize_t samples = box.width * box.channels, lanes = STRIP_ROWS * box.channels
    cdef Py_ssize_t room = max(samples * STRIP_ROWS, box.height * STRIP_LANES), y, x, rows, columns
    cdef Py_ssize_t radii[3]
    cdef uint16_t *first = <uint16_t *>malloc(2 * room * sizeof(uint16_t))
    cdef uint16_t *second
    if first == NULL:
        return -1
    second = first + room
    box_radii(sigma, box.width, radii)
    y = 0
    while y < box.height:
        rows = min(<Py_ssize_t>STRIP_ROWS, box.height - y)
        load_strip(box.pixels + y * box.step, box.step, rows, samples, first)
        box_pass(first, lanes, second, lanes, box.width, lanes, radii[0])
        box_pass(second, lanes, first, lanes, box.width, lanes, radii[1])
        box_pass(first, lanes, second, lanes, box.width, lanes, radii[2])
        store_strip(second, rows, samples, out + y * samples)
        y += rows
    box_radii(sigma, box.height, radii)
    x = 0
    while x < samples:
        columns = min(<Py_ssize_t>STRIP_LANES, samples - x)
        box_pass(out + x, samples, first, columns, box.height, columns, radii[0])
        box_pass(first, columns, second, columns, box.height, columns, radii[1])
        box_pass(second, columns, out + x, samples, box.height, columns, radii[2])
        x += columns
    free(first)
    return 0


cdef int tap_blur(Box box, Py_ssize_t ksize, double sigma, uint16_t *out) noexcept nogil:
    """The sampled Gaussian, tap by tap in each direction, to `out` (as box_blur)."""
    cdef Py_ssize_t samples = box.width * box.channels, radius = ksize / 2, y, x, t
    cdef Py_ssize_t padded = samples + 2 * radius * box.channels
    cdef float weights[BOX_PASSES_FROM]
    cdef double total = 1.0
    cdef float *sums
    cdef uint16_t *rows
    cdef uint16_t *line
    cdef char *block = <char *>malloc(4 * samples + 2 * (box.height * samples + padded))
    if block == NULL:
        return -1
    sums = <float *>block
    rows = <uint16_t *>(sums + samples)
    line = rows + box.height * samples
    for t in range(1, radius + 1):
        total += 2 * exp(-0.5 * t * t / (sigma * sigma))
    for t in range(radius + 1):
        weights[t] = <float>(exp(-0.5 * t * t / (sigma * sigma)) / total)
    for y in range(box.height):
        widen_row(box.pixels + y * box.step, line + radius * box.channels, samples)
        for x in range(1, radius + 1):
            memcpy(
                line + (radius - x) * box.channels,
                line + (radius + reflect(-x, box.width)) * box.channels, box.channels * sizeof(uint16_t)
            )
            memcpy(
                line + (radius + box.width - 1 + x) * box.channels,
                line + (radius + reflect(box.width - 1 + x, box.width)) * box.channels,
                box.channels * sizeof(uint16_t)
            )
        memset(sums, 0, samples * sizeof(float))
        add_taps(sums, line + radius * box.channels, line + radius * box.channels, weights[0] / 2, samples)
        for t in range(1, radius + 1):
            add_taps(
                sums, line + (radius - t) * box.channels, line + (radius + t) * box.channels, weights[t], samples
            )
        round_taps(sums, rows + y * samples, samples)
    for y in range(box.height):
        memset(sums, 0, samples * sizeof(float))
        add_taps(sums, rows + y * samples, rows + y * samples, weights[0] / 2, samples)
        for t in range(1, radius + 1):
            add_taps(
                sums, rows + reflect(y - t, box.height) * samples, rows + reflect(y + t, box.height) * samples,
                weights[t], samples
            )
        round_taps(sums, out + y * samples, samples)
    free(block)
    return 0


cdef uint16_t *blurred(Box box, Py_ssize_t ksize) noexcept nogil:
    """The blurred box in 8.8, to be freed by the caller; NULL without memory."""
    cdef double sigma = 0.3 * ((ksize - 1) * 0.5 - 1) + 0.8
    cdef uint16_t *out = <uint16_t *>malloc(box.height * box.width * box.channels * sizeof(uint16_t))
    cdef int status
    if out == NULL:
        return NULL
    status = tap_blur(box, ksize, sigma, out) if ksize < BOX_PASSES_FROM else box_blur(box, sigma, out)
    if status:
        free(out)
        return NULL
    return out


cdef void put_pixels(Box box, const uint16_t *blur, Py_ssize_t y, Py_ssize_t left, Py_ssize_t right) noexcept nogil:
    """Write the blurred pixels left .. right of row y, alpha left out."""
    cdef uint8_t *row = box.pixels + y * box.step
    cdef Py_ssize_t start = left * box.channels, x
    cdef int c
    blur += y * box.width * box.channels
    if box.colours == box.channels:
        round_row(blur + start, row + start, (right - left) * box.channels)
        return
    for x in range(left, right):
        for c in range(box.colours):
            row[x * box.channels + c] = <uint8_t>((blur[x * box.channels + c] + 128) >> 8)


cdef int gaussian_box(Box box, Py_ssize_t ksize) noexcept nogil:
    cdef Py_ssize_t y
    cdef uint16_t *blur = blurred(box, ksize)
    if blur == NULL:
        return -1
    for y in range(box.height):
        put_pixels(box, blur, y, 0, box.width)
    free(blur)
    return 0


cdef inline float cover(Box box, Py_ssize_t x, Py_ssize_t y) noexcept nogil:
    """How far pixel (x, y) is inside the inscribed ellipse: 0 at its edge, 1 from about one pixel inwards."""
    cdef float rx = <float>0.5 * box.width, ry = <float>0.5 * box.height
    cdef float u = (x + <float>0.5 - rx) / rx, v = (y + <float>0.5 - ry) / ry
    cdef float inside = (1 - sqrtf(u * u + v * v)) * min(rx, ry)
    return <float>0.0 if inside < 0 else (<float>1.0 if inside > 1 else inside)


cdef void blend_pixel(Box box, const uint16_t *blur, Py_ssize_t x, Py_ssize_t y, float alpha) noexcept nogil:
    cdef uint8_t *pixel = box.pixels + y * box.step + x * box.channels
    cdef int c
    blur += (y * box.width + x) * box.channels
    for c in range(box.colours):
        pixel[c] = <uint8_t>(pixel[c] + alpha * (blur[c] / <float>256.0 - pixel[c]) + <float>0.5)


cdef int ellipse_box(Box box, Py_ssize_t ksize) noexcept nogil:
    """Blend from both ends of each row towards the first pixel that is wholly inside; between, copy."""
    cdef Py_ssize_t y, left, right
    cdef float alpha
    cdef uint16_t *blur = blurred(box, ksize)
    if blur == NULL:
        return -1
    for y in range(box.height):
        left = 0
        right = box.width
        while left < right:
            alpha = cover(box, left, y)
            if alpha == 1:
                break
            if alpha > 0:
                blend_pixel(box, blur, left, y, alpha)
            left += 1
        while left < right:
            alpha = cover(box, right - 1, y)
            if alpha == 1:
                break
            if alpha > 0:
                blend_pixel(box, blur, right - 1, y, alpha)
            right -= 1
        put_pixels(box, blur, y, left, right)
    free(blur)
    return 0


def solid(image, x1, y1, x2, y2):
    """Blacken a box in place; see `native.reference.solid`."""
    run_mask(image, x1, y1, x2, y2, solid_box, 0)


def pixelate(image, x1, y1, x2, y2, block):
    """Replace the cells of a box by their means in place; see `native.reference.pixelate`."""
    run_mask(image, x1, y1, x2, y2, pixelate_box, arguments.block_size(block))


def gaussian(image, x1, y1, x2, y2, ksize):
    """Blur a box in place; see `native.reference.gaussian`."""
    run_mask(image, x1, y1, x2, y2, gaussian_box, arguments.kernel_size(ksize))


def ellipse(image, x1, y1, x2, y2, ksize):
    """Blur the ellipse inscribed in a box in place; see `native.reference.ellipse`."""
    run_mask(image, x1, y1, x2, y2, ellipse_box, arguments.kernel_size(ksize))
