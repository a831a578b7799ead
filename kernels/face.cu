// Crop, steady and blend on a CUDA GPU: the arithmetic of src/engine/enhance/cpu on the CPU, number for
// number.
//
// One source, two compilers. NVRTC makes face.ptx of it (compute_75, without fused multiply-adds);
// any C++17 compiler makes host code of it through host_shim.h, which is how it is tested where
// there is no GPU. For that every kernel is free of barriers, shared memory and includes: one
// thread makes one result from inputs that no other thread writes.
//
// README.md beside this file has the shapes and the launch grids. src/engine/enhance/cuda/kernels.rs holds
// the same structures for the launching side.

extern "C" {

// Samples of one component of a frame: (x, y) is data[y * stride + x * step].
struct Component {
    unsigned char *data;
    int stride, step, hsub, vsub;
};

// A frame. model: 0 R'G'B', 1 Y'CbCr, 2 grey (one component).
struct Frame {
    Component c[3];
    int count, model;
    float kr, kg, kb, luma_zero, luma_gain, chroma_gain;
};

// One direction of one resampling: `outputs` samples, the i-th of which covers origin + i * scale
// to origin + (i + 1) * scale of `inputs` samples. Its taps begin at taps[tap]; output i has its
// weights at weights[weight + i * span].
// For a blend, output 0 is sample `first` of the component, and the square reaches from `start`
// over `length` samples.
struct Axis {
    int outputs, inputs;
    float origin, scale;
    int tap, weight, span, first;
    float start, length;
};

// The inputs that one output sample is made of.
struct Tap {
    int first, count;
};

// A face on one rung: where its kept face lies among those of the rung, its crop and what was made
// of it among those of all layers (in numbers); the sides of the two; the first of its own axes and
// of those of its shape; its number among the generated (-1: the kept one is shown); how much of the
// kept face goes into the generated one; what is shown of it: shares of it and of the frame.
struct Layer {
    long long kept, lr_at, hr_at;
    int lr, hr, axes, shape, generated;
    float keep, share, detail;
};

// A face: its strength, how much of its second layer is shown, its first layer and their number.
struct Face {
    float strength, mix;
    int layer, layers;
};

// A piece of rows: `width` bytes of `height` rows, `stride` bytes apart, from frame + `offset` on;
// packed without gaps from packed + `packed` on.
struct Patch {
    unsigned int offset, stride, width, height, packed;
};

}  // extern "C"

// The grid on which colors are compared.
#define GRID 16
#define GRID_PLANE (GRID * GRID)
#define GRID_LEN (3 * GRID_PLANE)

// Axes of a shape: from its output and from its input to the grid, from the grid to its input.
#define AXIS_DOWN 0
#define AXIS_LOW 1
#define AXIS_UP 2

__device__ static inline int axis_of_crop(const Layer &l, int vertical, int sub) {
    return l.axes + vertical * 2 + sub;
}

__device__ static inline int axis_of_blend(const Layer &l, int vertical, int sub) {
    return l.axes + 4 + vertical * 2 + sub;
}

__device__ static inline int axis_of_base(const Layer &l, int vertical, int sub) {
    return l.axes + 8 + vertical * 2 + sub;
}

__device__ static inline float clampf(float v, float least, float most) {
    return fminf(fmaxf(v, least), most);
}

// Keys' cubic, a = -0.5.
__device__ static inline float cubic(float x) {
    x = fabsf(x);
    if (x < 1.0f) return ((-0.5f + 2.0f) * x - (-0.5f + 3.0f)) * x * x + 1.0f;
    if (x < 2.0f) return (((x - 5.0f) * x + 8.0f) * x - 4.0f) * -0.5f;
    return 0.0f;
}

__device__ static inline int tap_edge(float v) {
    return (int)fmaxf(v + 0.5f, 0.0f);
}

struct Rgb {
    float r, g, b;
};

__device__ static inline Rgb to_rgb(const Frame &f, float c0, float c1, float c2) {
    Rgb o = {c0, c1, c2};
    if (f.model == 0) return o;
    float y = (c0 - f.luma_zero) / f.luma_gain;
    if (f.model == 2) {
        o.r = o.g = o.b = y;
        return o;
    }
    float u = (c1 - 128.0f) / f.chroma_gain, v = (c2 - 128.0f) / f.chroma_gain;
    o.r = y + 2.0f * (1.0f - f.kr) * v;
    o.b = y + 2.0f * (1.0f - f.kb) * u;
    o.g = (y - f.kr * o.r - f.kb * o.b) / f.kg;
    return o;
}

__device__ static inline float chroma(const Frame &f, float c, float y, float k) {
    return 128.0f + (c - y) / (2.0f * (1.0f - k)) * f.chroma_gain;
}

// Component i of an RGB color.
__device__ static inline float from_rgb(const Frame &f, Rgb p, int i) {
    if (f.model == 0) return i == 0 ? p.r : i == 1 ? p.g : p.b;
    float y = f.kr * p.r + f.kg * p.g + f.kb * p.b;
    if (i == 0) return f.luma_zero + y * f.luma_gain;
    return i == 1 ? chroma(f, p.b, y, f.kb) : chroma(f, p.r, y, f.kr);
}

// Component i of black.
__device__ static inline float black(const Frame &f, int i) {
    return f.model == 0 ? 0.0f : i == 0 ? f.luma_zero : 128.0f;
}

__device__ static inline int thread_index() {
    return (int)(blockIdx.x * blockDim.x + threadIdx.x);
}

// Weights and inputs of one output sample.
struct Line {
    const float *weights;
    int first, count;
};

__device__ static inline Line line_of(const Axis &axis, const Tap *taps, const float *weights, int i) {
    Tap tap = taps[axis.tap + i];
    Line line = {weights + axis.weight + i * axis.span, tap.first, tap.count};
    return line;
}

// One sample of a plane of numbers, its rows `stride` apart, resampled both ways: first down the
// columns, as the CPU does.
__device__ static inline float resampled(const float *plane, int stride, Line tx, Line ty) {
    float out = 0.0f;
    for (int x = 0; x < tx.count; ++x) {
        const float *column = plane + ty.first * stride + tx.first + x;
        float sum = 0.0f;
        for (int y = 0; y < ty.count; ++y) sum += ty.weights[y] * column[y * stride];
        out += tx.weights[x] * sum;
    }
    return out;
}

extern "C" {

// Taps and weights of `count` axes. Block column x is an axis; its threads along y are outputs.
__global__ void facesr_taps(const Axis *__restrict__ axes, int count, Tap *__restrict__ taps,
                            float *__restrict__ weights) {
    int own = (int)blockIdx.x, i = (int)(blockIdx.y * blockDim.y + threadIdx.y);
    if (own >= count) return;
    Axis axis = axes[own];
    if (i >= axis.outputs) return;
    float stretch = fmaxf(axis.scale, 1.0f), support = 2.0f * stretch;
    float center = axis.origin + ((float)i + 0.5f) * axis.scale;
    int first = tap_edge(center - support), end = tap_edge(center + support);
    if (first > axis.inputs - 1) first = axis.inputs - 1;
    end = end < first + 1 ? first + 1 : (end > axis.inputs ? axis.inputs : end);
    float *out = weights + axis.weight + i * axis.span, sum = 0.0f;
    if (center < 0.0f || center > (float)axis.inputs) {
        // Beyond the picture its edge goes on.
        out[0] = 1.0f;
        taps[axis.tap + i].first = center < 0.0f ? 0 : axis.inputs - 1;
        taps[axis.tap + i].count = 1;
        return;
    }
    for (int k = first; k < end; ++k) {
        float w = cubic(((float)k + 0.5f - center) / stretch);
        out[k - first] = w;
        sum += w;
    }
    for (int k = 0; k < end - first; ++k) out[k] = out[k] / sum;
    taps[axis.tap + i].first = first;
    taps[axis.tap + i].count = end - first;
}

// Between a frame's rows and packed patches. Block x is a patch, block y a row (and every
// gridDim.y-th below); the threads of a block share the row. out: 0 unpacks, 1 packs.
__global__ void facesr_patches(const Patch *__restrict__ patches, int count, unsigned char *frame,
                               unsigned char *packed, int out) {
    if ((int)blockIdx.x >= count) return;
    Patch patch = patches[blockIdx.x];
    for (unsigned int y = blockIdx.y; y < patch.height; y += gridDim.y) {
        unsigned char *row = frame + patch.offset + (unsigned long long)y * patch.stride;
        unsigned char *line = packed + patch.packed + (unsigned long long)y * patch.width;
        for (unsigned int x = threadIdx.x; x < patch.width; x += blockDim.x) {
            if (out)
                line[x] = row[x];
            else
                row[x] = line[x];
        }
    }
}

// low: the crops of n layers one behind the other, each [3, lr, lr] in -1..1, from the squares of one
// frame. Block y is a layer; a thread for each of lr * lr pixels.
__global__ void facesr_crop(Frame frame, const Axis *__restrict__ axes, const Tap *__restrict__ taps,
                            const float *__restrict__ weights, const Layer *__restrict__ layers, int n,
                            float *__restrict__ low) {
    int own = (int)blockIdx.y, k = thread_index();
    if (own >= n) return;
    Layer layer = layers[own];
    int plane = layer.lr * layer.lr;
    if (k >= plane) return;
    int ox = k % layer.lr, oy = k / layer.lr;
    float *out = low + layer.lr_at + k;
    if (axes[axis_of_crop(layer, 0, 0)].outputs == 0) {
        // The square does not lie in the frame.
        out[0] = out[plane] = out[2 * plane] = 0.0f;
        return;
    }
    float s[3];
    for (int j = 0; j < 3; ++j) {
        if (j >= frame.count) {
            s[j] = s[0];
            continue;
        }
        Component c = frame.c[j];
        Line tx = line_of(axes[axis_of_crop(layer, 0, c.hsub)], taps, weights, ox);
        Line ty = line_of(axes[axis_of_crop(layer, 1, c.vsub)], taps, weights, oy);
        float sample = 0.0f;
        for (int y = 0; y < ty.count; ++y) {
            const unsigned char *row = c.data + (long long)(ty.first + y) * c.stride + tx.first * c.step;
            float sum = 0.0f;
            for (int x = 0; x < tx.count; ++x) sum += tx.weights[x] * (float)row[x * c.step];
            // Pillow clips between its two passes.
            sample += ty.weights[y] * clampf(sum, 0.0f, 255.0f);
        }
        s[j] = sample;
    }
    Rgb p = to_rgb(frame, s[0], s[1], s[2]);
    out[0] = clampf(p.r, 0.0f, 255.0f) / 127.5f - 1.0f;
    out[plane] = clampf(p.g, 0.0f, 255.0f) / 127.5f - 1.0f;
    out[2 * plane] = clampf(p.b, 0.0f, 255.0f) / 127.5f - 1.0f;
}

// input [m, 3, lr, lr]: the crops of those of n layers that are of this side and to be generated,
// close together. Block y is a layer; a thread for each of 3 * lr * lr numbers.
__global__ void facesr_gather(const Layer *__restrict__ layers, int n, int lr,
                              const float *__restrict__ low, float *__restrict__ input) {
    int own = (int)blockIdx.y, i = thread_index(), len = 3 * lr * lr;
    if (own >= n || i >= len) return;
    Layer layer = layers[own];
    if (layer.lr == lr && layer.generated >= 0)
        input[(long long)layer.generated * len + i] = low[layer.lr_at + i];
}

// shown: what each of n layers of this side is to look like, [3, hr, hr] one behind the other: the
// generated face mixed with the kept one, which it replaces, or the kept one. bad[layer] becomes 1
// where that is no finite number. Block y is a layer; a thread for each of 3 * hr * hr numbers.
__global__ void facesr_steady(const Layer *__restrict__ layers, int n, int hr,
                              const float *__restrict__ high, float *kept, float *__restrict__ shown,
                              int *bad) {
    int own = (int)blockIdx.y, i = thread_index(), len = 3 * hr * hr;
    if (own >= n || i >= len) return;
    Layer layer = layers[own];
    if (layer.hr != hr) return;
    float *place = kept + layer.kept + i;
    float value = *place;
    if (layer.generated >= 0) {
        float made = high[(long long)layer.generated * len + i];
        value = layer.keep > 0.0f ? made + layer.keep * (value - made) : made;
        *place = value;
        // All that write it write the same.
        if (!(fabsf(made) <= 3.0e38f)) bad[own] = 1;
    }
    shown[layer.hr_at + i] = value;
}

// difference [n, 3, 16, 16]: the crop, but for its change since the face was generated, less the shown face,
// both shrunk to the grid. Block y is a layer; a thread for each of 768 numbers.
__global__ void facesr_difference(const Axis *__restrict__ axes, const Tap *__restrict__ taps,
                                  const float *__restrict__ weights, const Layer *__restrict__ layers,
                                  const float *__restrict__ low, const float *__restrict__ shown,
                                  const float *__restrict__ change, int n, float *__restrict__ difference) {
    int own = (int)blockIdx.y, i = thread_index();
    if (own >= n || i >= GRID_LEN) return;
    Layer layer = layers[own];
    int k = i % GRID_PLANE, channel = i / GRID_PLANE;
    Axis down = axes[layer.shape + AXIS_DOWN];
    Line tx = line_of(down, taps, weights, k % GRID), ty = line_of(down, taps, weights, k / GRID);
    const float *face = shown + layer.hr_at + channel * layer.hr * layer.hr;
    const float *crop = low + layer.lr_at + channel * layer.lr * layer.lr;
    float wanted = crop[k];
    if (layer.lr != GRID) {
        Axis axis = axes[layer.shape + AXIS_LOW];
        wanted = resampled(crop, layer.lr, line_of(axis, taps, weights, k % GRID),
                           line_of(axis, taps, weights, k / GRID));
    }
    int at = own * GRID_LEN + i;
    difference[at] = wanted - change[at] - resampled(face, layer.hr, tx, ty);
}

// smooth [n, 3, 16, 16]: the difference under the binomial filter 1 4 6 4 1 both ways, edges
// repeated. A thread for each of n * 768 numbers.
__global__ void facesr_smooth(const float *__restrict__ difference, int n, float *__restrict__ smooth) {
    int i = thread_index();
    if (i >= n * GRID_LEN) return;
    const float weights[5] = {1.0f / 16.0f, 4.0f / 16.0f, 6.0f / 16.0f, 4.0f / 16.0f, 1.0f / 16.0f};
    int k = i % GRID_PLANE, ox = k % GRID, oy = k / GRID;
    const float *plane = difference + i / GRID_PLANE * GRID_PLANE;
    float out = 0.0f;
    for (int dx = 0; dx < 5; ++dx) {
        int x = ox + dx - 2;
        x = x < 0 ? 0 : (x > GRID - 1 ? GRID - 1 : x);
        float sum = 0.0f;
        for (int dy = 0; dy < 5; ++dy) {
            int y = oy + dy - 2;
            y = y < 0 ? 0 : (y > GRID - 1 ? GRID - 1 : y);
            sum += weights[dy] * plane[y * GRID + x];
        }
        out += weights[dx] * sum;
    }
    smooth[i] = out;
}

// excess [n, 3, 16, 16]: the share of the smoothed difference of a face by which its root mean square
// exceeds the tolerance, and the change of its crop since it was generated. A thread for each of
// n * 768 numbers, each of which adds up its whole face: in the order of the CPU, and without a second
// pass.
__global__ void facesr_excess(const float *__restrict__ smooth, const float *__restrict__ change, int n,
                              float *__restrict__ excess) {
    int i = thread_index();
    if (i >= n * GRID_LEN) return;
    const float tolerance = 0.04f;
    const float *face = smooth + i / GRID_LEN * GRID_LEN;
    float sum = 0.0f;
    for (int k = 0; k < GRID_LEN; ++k) sum += face[k] * face[k];
    float rms = sqrtf(sum / (float)GRID_LEN);
    float share = rms > tolerance ? 1.0f - tolerance / rms : 0.0f;
    excess[i] = smooth[i] * share + change[i];
}

// components: of n layers [3, hr, hr] one behind the other, the shown face in the frame's color model,
// 0..255. Block y is a layer; a thread for each of hr * hr pixels.
__global__ void facesr_convert(Frame frame, const Layer *__restrict__ layers, const float *__restrict__ shown,
                               int n, float *__restrict__ components) {
    int own = (int)blockIdx.y, k = thread_index();
    if (own >= n) return;
    Layer layer = layers[own];
    int plane = layer.hr * layer.hr;
    if (k >= plane) return;
    const float *face = shown + layer.hr_at + k;
    float *out = components + layer.hr_at + k, rgb[3];
    for (int j = 0; j < 3; ++j) rgb[j] = (clampf(face[j * plane], -1.0f, 1.0f) + 1.0f) * 127.5f;
    Rgb p = {rgb[0], rgb[1], rgb[2]};
    for (int j = 0; j < frame.count; ++j) out[j * plane] = from_rgb(frame, p, j);
}

// base: of n layers [3, lr, lr] one behind the other, in the frame's color model: what is known at the
// resolution of the crop. That is the excess of the difference as far as the face is shown, and the crop as
// far as the shares leave room for it. Block y is a layer; a thread for each of lr * lr pixels.
__global__ void facesr_base(Frame frame, const Axis *__restrict__ axes, const Tap *__restrict__ taps,
                            const float *__restrict__ weights, const Layer *__restrict__ layers,
                            const float *__restrict__ low, const float *__restrict__ excess, int n,
                            float *__restrict__ base) {
    int own = (int)blockIdx.y, k = thread_index();
    if (own >= n) return;
    Layer layer = layers[own];
    int plane = layer.lr * layer.lr;
    if (k >= plane) return;
    Axis up = axes[layer.shape + AXIS_UP];
    const float *crop = low + layer.lr_at + k, *broad = excess + own * GRID_LEN;
    float *out = base + layer.lr_at + k, rgb[3];
    float rest = 1.0f - layer.share - layer.detail;
    for (int j = 0; j < 3; ++j) {
        float correction = layer.lr == GRID
                               ? broad[j * GRID_PLANE + k]
                               : resampled(broad + j * GRID_PLANE, GRID, line_of(up, taps, weights, k % layer.lr),
                                           line_of(up, taps, weights, k / layer.lr));
        rgb[j] = 127.5f * (layer.share * correction + rest * (crop[j * plane] + 1.0f));
    }
    Rgb p = {rgb[0], rgb[1], rgb[2]};
    // Black comes once for each share of a picture, and a correction is none.
    for (int j = 0; j < frame.count; ++j)
        out[j * plane] = from_rgb(frame, p, j) + (rest - 1.0f) * black(frame, j);
}

}  // extern "C"

// Weight of the soft ellipse at (u, v), each -1..1 across the square.
__device__ static inline float feather(float u, float v) {
    const float start = 0.72f * 0.72f;
    float t = clampf((1.0f - u * u - v * v) / (1.0f - start), 0.0f, 1.0f);
    return t * t * (3.0f - 2.0f * t);
}

// Whether a layer of the face is no finite number.
__device__ static inline int is_bad(const Face &face, const int *bad) {
    return bad[face.layer] || (face.layers > 1 && bad[face.layer + 1]);
}

// One component of a layer at (x, y) of the square's samples: its share of the face, and the base.
__device__ static inline float sample_of(const Layer &l, int component, int x, int y, const Component &c,
                                         const Axis *axes, const Tap *taps, const float *weights,
                                         const float *components, const float *base) {
    Line tx = line_of(axes[axis_of_blend(l, 0, c.hsub)], taps, weights, x);
    Line ty = line_of(axes[axis_of_blend(l, 1, c.vsub)], taps, weights, y);
    float face = resampled(components + l.hr_at + component * l.hr * l.hr, l.hr, tx, ty);
    tx = line_of(axes[axis_of_base(l, 0, c.hsub)], taps, weights, x);
    ty = line_of(axes[axis_of_base(l, 1, c.vsub)], taps, weights, y);
    return l.share * face + resampled(base + l.lr_at + component * l.lr * l.lr, l.lr, tx, ty);
}

extern "C" {

// Blends n faces into all components of the frame, but for those that are bad. Block x is a face and
// a component (face * count + component), block y and z with the threads y and x a sample of its
// square. Where squares overlap, the thread of the first face that has the sample blends all of
// them, in their order: no two threads write one sample.
__global__ void facesr_blend(Frame frame, const Axis *__restrict__ axes, const Tap *__restrict__ taps,
                             const float *__restrict__ weights, const Face *__restrict__ faces, int n,
                             const Layer *__restrict__ layers, const float *__restrict__ components,
                             const float *__restrict__ base, const int *__restrict__ bad) {
    int own = (int)blockIdx.x / frame.count, component = (int)blockIdx.x % frame.count;
    if (own >= n || is_bad(faces[own], bad)) return;
    // Chosen by comparison: an index would put the whole frame into slow memory.
    Component c = component == 0 ? frame.c[0] : component == 1 ? frame.c[1] : frame.c[2];
    Axis ax = axes[axis_of_blend(layers[faces[own].layer], 0, c.hsub)];
    Axis ay = axes[axis_of_blend(layers[faces[own].layer], 1, c.vsub)];
    int px = (int)(blockIdx.z * blockDim.x + threadIdx.x), py = (int)(blockIdx.y * blockDim.y + threadIdx.y);
    if (px >= ax.outputs || py >= ay.outputs) return;
    px += ax.first;
    py += ay.first;
    unsigned char *sample = c.data + (long long)py * c.stride + (long long)px * c.step;
    unsigned char value = *sample;
    for (int f = 0; f < n; ++f) {
        Face face = faces[f];
        Layer layer = layers[face.layer];
        ax = axes[axis_of_blend(layer, 0, c.hsub)];
        ay = axes[axis_of_blend(layer, 1, c.vsub)];
        int x = px - ax.first, y = py - ay.first;
        if (x < 0 || x >= ax.outputs || y < 0 || y >= ay.outputs || is_bad(face, bad)) continue;
        if (f < own) return;
        float out = sample_of(layer, component, x, y, c, axes, taps, weights, components, base);
        float detail = layer.detail;
        if (face.layers > 1) {
            Layer next = layers[face.layer + 1];
            float other = sample_of(next, component, x, y, c, axes, taps, weights, components, base);
            out += face.mix * (other - out);
            detail += face.mix * (next.detail - detail);
        }
        float u = ((float)px + 0.5f - ax.start) / ax.length * 2.0f - 1.0f;
        float v = ((float)py + 0.5f - ay.start) / ay.length * 2.0f - 1.0f;
        float alpha = face.strength * feather(u, v), old = (float)value;
        out = out + detail * old;
        value = (unsigned char)clampf(old + alpha * (out - old) + 0.5f, 0.0f, 255.0f);
    }
    *sample = value;
}

}  // extern "C"
