# Anchors to candidates to faces; part of kernels.pyx.

cdef struct Candidates:
    Py_ssize_t n
    uint64_t *keys       # descending score above, candidate number below
    uint64_t *sort_room
    float *scores
    float *boxes         # 4 each
    float *landmarks     # 10 each
    float *kept          # x1s, y1s, x2s, y2s, areas: a stretch of each
    uint32_t *order      # candidates kept, best first


cdef enum:
    MAX_BANDS = 32


cdef inline uint64_t sort_key(float score, Py_ssize_t i) noexcept nogil:
    """A number that is smaller for a higher score and, among equals, for a lower i."""
    cdef uint32_t bits
    score = score + <float>0.0  # -0.0 and 0.0 are a tie
    memcpy(&bits, &score, 4)
    bits = ~bits if bits >> 31 else bits | <uint32_t>0x80000000
    return (<uint64_t>(~bits) << 32) | <uint32_t>i


cdef void radix_sort(uint64_t *keys, uint64_t *room, Py_ssize_t n) noexcept nogil:
    """Sort by the upper 32 bits, a byte at a time; stable, so that the lower half keeps its ascending order."""
    cdef uint32_t counts[4][256]
    cdef uint32_t total, count
    cdef Py_ssize_t i
    cdef int digit, value
    memset(counts, 0, sizeof(counts))
    for i in range(n):
        for digit in range(4):
            counts[digit][(keys[i] >> (32 + 8 * digit)) & 255] += 1
    for digit in range(4):
        total = 0
        for value in range(256):
            count = counts[digit][value]
            counts[digit][value] = total
            total += count
        for i in range(n):
            value = (keys[i] >> (32 + 8 * digit)) & 255
            room[counts[digit][value]] = keys[i]
            counts[digit][value] += 1
        keys, room = room, keys


cdef void decode_level(
    Candidates *found, const uint32_t *chosen, Py_ssize_t count, const float *scores, const float *boxes,
    const float *landmarks, Py_ssize_t stride, Py_ssize_t columns, Py_ssize_t anchors, float unit
) noexcept nogil:
    """Append the chosen anchors of one stride as candidates, if everything about them is finite."""
    cdef float step = <float>stride
    cdef float cx, cy
    cdef float *box
    cdef const float *distances
    cdef uint32_t cell
    cdef Py_ssize_t i, j, k = found.n
    cdef bint good
    for j in range(count):
        # The model's outputs are out of the near caches by now, and no hardware foresees where we go next.
        i = chosen[min(j + LOOK_AHEAD, count - 1)]
        prefetch(boxes + 4 * i)
        if landmarks != NULL:
            prefetch(landmarks + 10 * i)
            prefetch(landmarks + 10 * i + 9)
        i = chosen[j]
        cell = <uint32_t>i / <uint32_t>anchors
        cx = <float>(cell % <uint32_t>columns) * step
        cy = <float>(cell / <uint32_t>columns) * step
        distances = boxes + 4 * i
        box = found.boxes + 4 * k
        box[0] = (cx - distances[0] * step) * unit
        box[1] = (cy - distances[1] * step) * unit
        box[2] = (cx + distances[2] * step) * unit
        box[3] = (cy + distances[3] * step) * unit
        good = isfinite(box[0]) and isfinite(box[1]) and isfinite(box[2]) and isfinite(box[3])
        if landmarks != NULL:
            good = good and decode_points(landmarks + 10 * i, cx, cy, step, unit, found.landmarks + 10 * k)
        if good:
            found.scores[k] = scores[i]
            found.keys[k] = sort_key(scores[i], k)
            k += 1
    found.n = k


cdef inline bint decode_points(
    const float *offsets, float cx, float cy, float step, float unit, float *points
) noexcept nogil:
    """Five landmarks of one anchor; false if one of them is not finite."""
    cdef int i
    cdef float wild = 0
    for i in range(5):
        points[2 * i] = (cx + offsets[2 * i] * step) * unit
        points[2 * i + 1] = (cy + offsets[2 * i + 1] * step) * unit
    for i in range(10):
        wild += points[i] - points[i]  # NaN for an infinity or a NaN
    return wild == 0


cdef inline Py_ssize_t band_of(const float *box, float per_band, Py_ssize_t bands) noexcept nogil:
    """Band of a box's centre; those outside the picture (or overflowing) count as in the first or last."""
    cdef float position = (<float>0.5 * box[1] + <float>0.5 * box[3]) / per_band
    if not position > 0:
        return 0
    return <Py_ssize_t>position if position < bands - 1 else bands - 1


cdef Py_ssize_t suppress(Candidates *found, float height, float threshold) noexcept nogil:
    """Greedy NMS: best first, a candidate falls if its IoU with a kept one is above the threshold.

    Kept boxes lie in bands, and a candidate is compared only with bands that reach it: the others do not touch it.
    """
    cdef Py_ssize_t band_count = min(<Py_ssize_t>MAX_BANDS, 1 + found.n / 256)
    cdef Py_ssize_t room = found.n + band_count * OVERLAP_BLOCK
    cdef float *x1s = found.kept
    cdef float *y1s = x1s + room
    cdef float *x2s = y1s + room
    cdef float *y2s = x2s + room
    cdef float *areas = y2s + room
    cdef const float *box
    cdef float w, h, area, per_band
    cdef uint32_t candidate
    cdef Band bands[MAX_BANDS]
    cdef Band *band
    cdef Py_ssize_t i, b, own, at, start = 0, kept = 0
    cdef bint fallen
    per_band = height / band_count
    memset(bands, 0, sizeof(bands))
    memset(x1s, 0, 5 * room * sizeof(float))  # empty boxes, for overlaps_any
    for i in range(found.n):
        bands[band_of(found.boxes + 4 * i, per_band, band_count)].n += 1
    for b in range(band_count):
        bands[b].start = start
        start += (bands[b].n + OVERLAP_BLOCK - 1) / OVERLAP_BLOCK * OVERLAP_BLOCK
        bands[b].n = 0
        bands[b].top = FLT_MAX
        bands[b].bottom = -FLT_MAX
    radix_sort(found.keys, found.sort_room, found.n)
    for i in range(found.n):
        candidate = <uint32_t>found.keys[i]  # the lower half
        box = found.boxes + 4 * <Py_ssize_t>candidate
        w = box[2] - box[0]
        h = box[3] - box[1]
        area = (w if w > 0 else <float>0.0) * (h if h > 0 else <float>0.0)
        own = band_of(box, per_band, band_count)
        fallen = overlaps_kept(bands, band_count, own, found.kept, room, box, area, threshold)
        if fallen:
            continue
        band = &bands[own]
        at = band.start + band.n
        x1s[at] = box[0]
        y1s[at] = box[1]
        x2s[at] = box[2]
        y2s[at] = box[3]
        areas[at] = area
        band.n += 1
        band.top = min(band.top, box[1])
        band.bottom = max(band.bottom, box[3])
        found.order[kept] = candidate
        kept += 1
    return kept


cdef inline float clip(float value, float high) noexcept nogil:
    return (value if value < high else high) if value > 0 else <float>0.0


cdef Py_ssize_t clip_faces(
    Candidates *found, Py_ssize_t kept, float width, float height, Py_ssize_t max_faces
) noexcept nogil:
    """Clip the kept boxes, drop those without area and all after the best max_faces; returns how many stay."""
    cdef Py_ssize_t i, faces = 0
    cdef float *box
    for i in range(kept):
        if max_faces and faces == max_faces:
            break
        box = found.boxes + 4 * <Py_ssize_t>found.order[i]
        box[0] = clip(box[0], width)
        box[1] = clip(box[1], height)
        box[2] = clip(box[2], width)
        box[3] = clip(box[3], height)
        if box[0] < box[2] and box[1] < box[3]:
            found.order[faces] = found.order[i]
            faces += 1
    return faces


cdef double now() noexcept nogil:
    cdef timespec time
    clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec + time.tv_nsec * 1e-9


def decode_detections(
    scores, boxes, landmarks, strides, anchors, tensor_width, *,
    score_threshold, nms_threshold, scale, width, height, max_faces=0
):
    """Raw outputs of an SCRFD detector to faces in picture coordinates; see `native.reference.decode_detections`."""
    levels, anchors = arguments.levels(scores, boxes, landmarks, strides, anchors, tensor_width)
    cdef float c_score = arguments.unit_interval("score_threshold", score_threshold)
    cdef float c_nms = arguments.unit_interval("nms_threshold", nms_threshold)
    cdef float c_unit = 1.0 / arguments.positive("scale", scale)
    cdef float c_width = arguments.number("width", width, 1, 1 << 24)
    cdef float c_height = arguments.number("height", height, 1, 1 << 24)
    cdef Py_ssize_t c_max = arguments.number("max_faces", max_faces, 0, 1 << 30)
    cdef Py_ssize_t c_anchors = anchors
    cdef bint with_landmarks = landmarks is not None
    cdef Py_ssize_t row_size = 15 if with_landmarks else 5
    cdef Py_ssize_t stride, columns, n, i, candidate, kept = 0, faces = 0, capacity = 0
    cdef const float[::1] score_view, box_view, landmark_view
    cdef const float *points = NULL
    cdef float[:, ::1] rows
    cdef double started, seconds
    cdef Candidates found
    cdef char *block = NULL
    cdef uint32_t *chosen = <uint32_t *>malloc(4 * max(1, sum([level.scores.size for level in levels])))
    if chosen == NULL:
        raise MemoryError
    try:
        counts = []
        for level in levels:
            score_view = level.scores
            n = score_view.shape[0]
            if n:
                with nogil:
                    n = passing(&score_view[0], n, c_score, chosen + capacity)
                capacity += n
            counts.append(n)
        if capacity == 0:
            return Detections(np.empty((0, row_size), np.float32), 0, 0, 0.0)
        # One block for the rest, sized by the anchors that pass: 16 bytes of keys, 20 of box and score, 4 of order, 20
        # of kept box (each band rounded up), 40 of landmarks.
        block = <char *>malloc(capacity * (100 if with_landmarks else 60) + MAX_BANDS * OVERLAP_BLOCK * 20)
        if block == NULL:
            raise MemoryError
        found.n = 0
        found.keys = <uint64_t *>block
        found.sort_room = found.keys + capacity
        found.order = <uint32_t *>(found.sort_room + capacity)
        found.scores = <float *>(found.order + capacity)
        found.boxes = found.scores + capacity
        found.kept = found.boxes + 4 * capacity
        found.landmarks = found.kept + 5 * (capacity + MAX_BANDS * OVERLAP_BLOCK)
        capacity = 0
        for level, count in zip(levels, counts):
            n = count
            if n == 0:
                continue
            score_view = level.scores
            box_view = level.boxes
            if with_landmarks:
                landmark_view = level.landmarks
                points = &landmark_view[0]
            stride = level.stride
            columns = level.columns
            with nogil:
                decode_level(
                    &found, chosen + capacity, n, &score_view[0], &box_view[0], points, stride, columns, c_anchors,
                    c_unit
                )
            capacity += n
        with nogil:
            started = now()
            kept = suppress(&found, c_height, c_nms)
            seconds = now() - started
            faces = clip_faces(&found, kept, c_width, c_height, c_max)
        result = np.empty((faces, row_size), np.float32)
        rows = result
        for i in range(faces):
            candidate = found.order[i]
            memcpy(&rows[i, 0], found.boxes + 4 * candidate, 16)
            rows[i, 4] = found.scores[candidate]
            if with_landmarks:
                memcpy(&rows[i, 5], found.landmarks + 10 * candidate, 40)
        return Detections(result, found.n, kept, seconds)
    finally:
        free(chosen)
        free(block)
