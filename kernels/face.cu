// Cut and blend on a CUDA GPU: the arithmetic of src/engine/canvas on the CPU, number for number.
//
// One source, two compilers. NVRTC makes face.ptx of it (compute_75, without fused multiply-adds);
// any C++17 compiler makes host code of it through host_shim.h, which is how it is tested where
// there is no GPU. For that every kernel is free of barriers, shared memory and includes: one
// thread makes one result from inputs that no other thread writes.
//
// README.md beside this file has the shapes and the launch grids.

extern "C" {

// Samples of one component of a frame: (x, y) is data[y * stride + x * step].
struct Component {
    unsigned char *data;
    int stride, step, width, height, hsub, vsub;
};

// A frame. model: 0 R'G'B', 1 Y'CbCr, 2 grey (one component). site_x, site_y: what is added to a
// luma edge coordinate before it is halved for a subsampled component.
struct Frame {
    Component c[3];
    int count, model;
    float kr, kg, kb, luma_zero, luma_gain, chroma_gain;
    float site_x, site_y;
};

// A crop square in luma pixels from the picture's edges, and the strength of its blend.
struct Face {
    float x, y, side, strength;
};

}  // extern "C"

#define LOW 16
#define HIGH 64
#define LOW_PLANE (LOW * LOW)
#define HIGH_PLANE (HIGH * HIGH)

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

// Which inputs make one output sample, and how their weights come about.
struct Taps {
    int first, end;
    float center, stretch, sum;
};

__device__ static inline int tap_edge(float v) {
    return (int)fmaxf(v + 0.5f, 0.0f);
}

__device__ static inline float tap_weight(const Taps &t, int k) {
    return cubic(((float)k + 0.5f - t.center) / t.stretch);
}

// Taps of output `i`, which covers origin + i * scale to origin + (i + 1) * scale of `inputs`
// samples.
__device__ static inline Taps taps(int i, int inputs, float origin, float scale) {
    Taps t;
    t.stretch = fmaxf(scale, 1.0f);
    float support = 2.0f * t.stretch;
    t.center = origin + ((float)i + 0.5f) * scale;
    int first = tap_edge(t.center - support), end = tap_edge(t.center + support);
    t.first = first < inputs - 1 ? first : inputs - 1;
    t.end = end < t.first + 1 ? t.first + 1 : (end > inputs ? inputs : end);
    t.sum = 0.0f;
    for (int k = t.first; k < t.end; ++k) t.sum += tap_weight(t, k);
    return t;
}

// A crop square in the sample coordinates of one component.
struct Area {
    float x, y, w, h;
};

__device__ static inline Area area(const Face &f, const Frame &frame, const Component &c) {
    Area a = {f.x, f.y, f.side, f.side};
    if (c.hsub) a.x = (f.x + frame.site_x) / 2.0f, a.w = f.side / 2.0f;
    if (c.vsub) a.y = (f.y + frame.site_y) / 2.0f, a.h = f.side / 2.0f;
    return a;
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

// Component i of an RGB colour.
__device__ static inline float from_rgb(const Frame &f, Rgb p, int i) {
    if (f.model == 0) return i == 0 ? p.r : i == 1 ? p.g : p.b;
    float y = f.kr * p.r + f.kg * p.g + f.kb * p.b;
    if (i == 0) return f.luma_zero + y * f.luma_gain;
    return i == 1 ? chroma(f, p.b, y, f.kb) : chroma(f, p.r, y, f.kr);
}

// Sample (ox, oy) of a 16x16 resampling of `a` of one component.
__device__ static inline float cut_sample(const Component &c, Area a, int ox, int oy) {
    Taps tx = taps(ox, c.width, a.x, a.w / (float)LOW), ty = taps(oy, c.height, a.y, a.h / (float)LOW);
    float out = 0.0f;
    for (int y = ty.first; y < ty.end; ++y) {
        const unsigned char *row = c.data + (long long)y * c.stride;
        float sum = 0.0f;
        for (int x = tx.first; x < tx.end; ++x)
            sum += tap_weight(tx, x) / tx.sum * (float)row[x * c.step];
        // Pillow clips between its two passes.
        out += tap_weight(ty, y) / ty.sum * clampf(sum, 0.0f, 255.0f);
    }
    return out;
}

__device__ static inline int thread_index() {
    return (int)(blockIdx.x * blockDim.x + threadIdx.x);
}

extern "C" {

// low [n, 3, 16, 16] in -1..1 from the squares of one frame. A thread for each of n * 256 pixels.
__global__ void facesr_cut(Frame frame, const Face *__restrict__ faces, int n, float *__restrict__ low) {
    int i = thread_index();
    if (i >= n * LOW_PLANE) return;
    int k = i % LOW_PLANE, ox = k % LOW, oy = k / LOW;
    Face face = faces[i / LOW_PLANE];
    float s[3];
    for (int j = 0; j < 3; ++j)
        s[j] = j < frame.count ? cut_sample(frame.c[j], area(face, frame, frame.c[j]), ox, oy) : s[0];
    Rgb p = to_rgb(frame, s[0], s[1], s[2]);
    float *out = low + (i / LOW_PLANE) * 3 * LOW_PLANE + k;
    out[0] = clampf(p.r, 0.0f, 255.0f) / 127.5f - 1.0f;
    out[LOW_PLANE] = clampf(p.g, 0.0f, 255.0f) / 127.5f - 1.0f;
    out[2 * LOW_PLANE] = clampf(p.b, 0.0f, 255.0f) / 127.5f - 1.0f;
}

// difference [n, 3, 16, 16]: the cut less the generated face shrunk to its size. A thread for each
// of n * 768 numbers.
__global__ void facesr_difference(const float *__restrict__ low, const float *__restrict__ high, int n,
                                  float *__restrict__ difference) {
    int i = thread_index();
    if (i >= n * 3 * LOW_PLANE) return;
    int k = i % LOW_PLANE;
    const float *plane = high + i / LOW_PLANE * HIGH_PLANE;
    Taps tx = taps(k % LOW, HIGH, 0.0f, 4.0f), ty = taps(k / LOW, HIGH, 0.0f, 4.0f);
    float out = 0.0f;
    for (int x = tx.first; x < tx.end; ++x) {
        float sum = 0.0f;
        for (int y = ty.first; y < ty.end; ++y) sum += tap_weight(ty, y) / ty.sum * plane[y * HIGH + x];
        out += tap_weight(tx, x) / tx.sum * sum;
    }
    difference[i] = low[i] - out;
}

// smooth [n, 3, 16, 16]: the difference under the binomial filter 1 4 6 4 1 both ways, edges
// repeated. A thread for each of n * 768 numbers.
__global__ void facesr_smooth(const float *__restrict__ difference, int n, float *__restrict__ smooth) {
    int i = thread_index();
    if (i >= n * 3 * LOW_PLANE) return;
    const float weights[5] = {1.0f / 16.0f, 4.0f / 16.0f, 6.0f / 16.0f, 4.0f / 16.0f, 1.0f / 16.0f};
    int k = i % LOW_PLANE, ox = k % LOW, oy = k / LOW;
    const float *plane = difference + i / LOW_PLANE * LOW_PLANE;
    float out = 0.0f;
    for (int dx = 0; dx < 5; ++dx) {
        int x = ox + dx - 2;
        x = x < 0 ? 0 : (x > LOW - 1 ? LOW - 1 : x);
        float sum = 0.0f;
        for (int dy = 0; dy < 5; ++dy) {
            int y = oy + dy - 2;
            y = y < 0 ? 0 : (y > LOW - 1 ? LOW - 1 : y);
            sum += weights[dy] * plane[y * LOW + x];
        }
        out += weights[dx] * sum;
    }
    smooth[i] = out;
}

// components [n, 3, 64, 64] of the frame's colour model, 0..255: the generated face plus the
// smoothed difference, enlarged. A thread for each of n * 4096 pixels.
__global__ void facesr_correct(Frame frame, const float *__restrict__ high, const float *__restrict__ smooth,
                               int n, float *__restrict__ components) {
    int i = thread_index();
    if (i >= n * HIGH_PLANE) return;
    int k = i % HIGH_PLANE, base = i / HIGH_PLANE * 3;
    Taps tx = taps(k % HIGH, LOW, 0.0f, 0.25f), ty = taps(k / HIGH, LOW, 0.0f, 0.25f);
    float rgb[3];
    for (int j = 0; j < 3; ++j) {
        const float *plane = smooth + (base + j) * LOW_PLANE;
        float out = 0.0f;
        for (int x = tx.first; x < tx.end; ++x) {
            float sum = 0.0f;
            for (int y = ty.first; y < ty.end; ++y) sum += tap_weight(ty, y) / ty.sum * plane[y * LOW + x];
            out += tap_weight(tx, x) / tx.sum * sum;
        }
        float v = high[(base + j) * HIGH_PLANE + k] + out;
        rgb[j] = (clampf(v, -1.0f, 1.0f) + 1.0f) * 127.5f;
    }
    Rgb p = {rgb[0], rgb[1], rgb[2]};
    for (int j = 0; j < frame.count; ++j) components[(base + j) * HIGH_PLANE + k] = from_rgb(frame, p, j);
}

}  // extern "C"

// Weight of the soft ellipse at (u, v), each -1..1 across the square.
__device__ static inline float feather(float u, float v) {
    const float start = 0.72f * 0.72f;
    float t = clampf((1.0f - u * u - v * v) / (1.0f - start), 0.0f, 1.0f);
    return t * t * (3.0f - 2.0f * t);
}

// First and one past the last sample whose centre lies within start..start + length.
__device__ static inline void samples_within(float start, float length, int limit, int &first, int &end) {
    int from = (int)fmaxf(ceilf(start - 0.5f), 0.0f);
    int to = (int)fmaxf(floorf(start + length - 0.5f) + 1.0f, 0.0f);
    first = from < limit ? from : limit;
    end = to < limit ? to : limit;
}

extern "C" {

// Lays the faces over one component of the frame. Block column z is a face; its threads x and y
// run over the samples of its square (facesr_blend_grid in README.md). Where squares overlap, the
// thread of the first face that has the sample lays all of them, in their order: no two threads
// write one sample.
__global__ void facesr_blend(Frame frame, int component, const Face *__restrict__ faces, int n,
                             const float *__restrict__ components) {
    Component c = frame.c[component];
    int own = (int)blockIdx.z, x0, x1, y0, y1;
    Area a = area(faces[own], frame, c);
    samples_within(a.x, a.w, c.width, x0, x1);
    samples_within(a.y, a.h, c.height, y0, y1);
    int px = x0 + (int)(blockIdx.x * blockDim.x + threadIdx.x);
    int py = y0 + (int)(blockIdx.y * blockDim.y + threadIdx.y);
    if (px >= x1 || py >= y1) return;
    unsigned char *sample = c.data + (long long)py * c.stride + px * c.step;
    unsigned char value = *sample;
    for (int f = 0; f < n; ++f) {
        a = area(faces[f], frame, c);
        samples_within(a.x, a.w, c.width, x0, x1);
        samples_within(a.y, a.h, c.height, y0, y1);
        if (px < x0 || px >= x1 || py < y0 || py >= y1) continue;
        if (f < own) return;
        float sx = (float)HIGH / a.w, sy = (float)HIGH / a.h;
        Taps tx = taps(px - x0, HIGH, ((float)x0 - a.x) * sx, sx);
        Taps ty = taps(py - y0, HIGH, ((float)y0 - a.y) * sy, sy);
        const float *plane = components + (f * 3 + component) * HIGH_PLANE;
        float out = 0.0f;
        for (int x = tx.first; x < tx.end; ++x) {
            float sum = 0.0f;
            for (int y = ty.first; y < ty.end; ++y) sum += tap_weight(ty, y) / ty.sum * plane[y * HIGH + x];
            out += tap_weight(tx, x) / tx.sum * sum;
        }
        float u = ((float)px + 0.5f - a.x) / a.w * 2.0f - 1.0f;
        float v = ((float)py + 0.5f - a.y) / a.h * 2.0f - 1.0f;
        float alpha = faces[f].strength * feather(u, v), old = (float)value;
        value = (unsigned char)clampf(old + alpha * (out - old) + 0.5f, 0.0f, 255.0f);
    }
    *sample = value;
}

}  // extern "C"
