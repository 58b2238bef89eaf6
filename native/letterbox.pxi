# A picture into a model input; part of kernels.pyx.

cdef struct Source:
    const uint8_t *pixels
    Py_ssize_t step      # bytes from row to row, of either sign
    Py_ssize_t width
    Py_ssize_t height
    int channels
    double x1            # the part to resize
    double y1
    double x2
    double y2


cdef inline Py_ssize_t tap(Py_ssize_t i, double start, double ratio, Py_ssize_t n, float *weight) noexcept nogil:
    """Left of the two source samples of output i, and the weight of the right one (float32, as OpenCV computes)."""
    cdef float position = <float>(start + (i + 0.5) * ratio - 0.5)
    cdef Py_ssize_t left = <Py_ssize_t>floor(position)
    weight[0] = position - left
    if left < 0:
        left = 0
        weight[0] = 0
    elif left >= n - 1:
        left = n - 1
        weight[0] = 0
    return left


cdef void fill(float *start, Py_ssize_t n, float value) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        start[i] = value


cdef int letterbox_planes(
    Source source, float *tensor, Py_ssize_t tensor_width, Py_ssize_t tensor_height, Py_ssize_t width,
    Py_ssize_t height, float bias, float scale
) noexcept nogil:
    cdef Py_ssize_t area = tensor_width * tensor_height, samples = source.width * source.channels
    cdef Py_ssize_t x, y, upper
    cdef double ratio_x = (source.x2 - source.x1) / width, ratio_y = (source.y2 - source.y1) / height
    cdef bint resample = source.x1 != 0 or source.y1 != 0 or ratio_x != 1 or ratio_y != 1
    cdef float weight
    cdef float *row
    cdef const uint8_t *above
    cdef const uint8_t *below
    cdef char *block = NULL
    cdef float *weights = NULL
    cdef int32_t *left = NULL
    cdef uint16_t *blended = NULL
    cdef uint16_t *taps = NULL
    if resample:
        # Two weights, a position and eight tap samples per output column; one blended row with room for the last
        # tap, whose right neighbour has weight 0 but is read.
        block = <char *>calloc(28 * width + 2 * (samples + 8), 1)
        if block == NULL:
            return -1
        weights = <float *>block
        left = <int32_t *>(weights + 2 * width)
        taps = <uint16_t *>(left + width)
        blended = taps + 8 * width
        for x in range(width):
            left[x] = <int32_t>(tap(x, source.x1, ratio_x, source.width, &weight) * source.channels)
            weights[x] = (1 - weight) * scale / 256
            weights[width + x] = weight * scale / 256
    for y in range(height):
        row = tensor + y * tensor_width
        if resample:
            upper = tap(y, source.y1, ratio_y, source.height, &weight)
            above = source.pixels + upper * source.step
            below = above + source.step if weight > 0 else above
            blend_rows(above, below, <uint16_t>min(weight * 65536, <float>65535), samples, blended)
            sample_row(
                blended, left, weights, weights + width, bias, width, source.channels, taps, row, row + area,
                row + 2 * area
            )
        else:
            normalise_row(
                source.pixels + y * source.step, width, source.channels, scale, bias, row, row + area, row + 2 * area
            )
        for x in range(3):
            fill(row + x * area + width, tensor_width - width, bias)
    for x in range(3):
        fill(tensor + x * area + height * tensor_width, (tensor_height - height) * tensor_width, bias)
    free(block)
    return 0


def letterbox(image, tensor, width, height, mean, scale, region=None):
    """A picture resized into the top left of a model input, normalised; see `native.reference.letterbox`."""
    picture = arguments.pixels("image", image)
    planes = arguments.planes(tensor)
    cdef Py_ssize_t c_width = arguments.number("width", width, 1, planes.shape[2])
    cdef Py_ssize_t c_height = arguments.number("height", height, 1, planes.shape[1])
    cdef float c_scale = arguments.finite("scale", scale)
    cdef float bias = -arguments.finite("mean", mean) * arguments.finite("scale", scale)
    if picture.size == 0:
        raise ValueError(f"image must not be empty, got shape {image.shape}")
    x1, y1, x2, y2 = arguments.part(picture, region)
    if not packed_rows(picture):
        picture = np.ascontiguousarray(picture)
    cdef const uint8_t[:, :, :] view = picture
    cdef float[:, :, ::1] out = planes
    cdef Source source
    source.pixels = &view[0, 0, 0]
    source.step = view.strides[0]
    source.width = view.shape[1]
    source.height = view.shape[0]
    source.channels = <int>view.shape[2]
    source.x1, source.y1, source.x2, source.y2 = x1, y1, x2, y2
    cdef int status
    with nogil:
        status = letterbox_planes(
            source, &out[0, 0, 0], out.shape[2], out.shape[1], c_width, c_height, bias, c_scale
        )
    if status:
        raise MemoryError
