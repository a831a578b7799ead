// The kernels as host code, with the launches that README.md describes. For tests.
#include "host_shim.h"

#include "face.cu"

#include <vector>

static Index3 line(int threads) {
    return {(unsigned)((threads + 127) / 128), 1, 1};
}

extern "C" {

// low [n, 3, 16, 16]
void facesr_host_cut(const Frame *frame, const Face *faces, int n, float *low) {
    launch(line(n * LOW_PLANE), {128, 1, 1}, [&] { facesr_cut(*frame, faces, n, low); });
}

// low [n, 3, 16, 16], high [n, 3, 64, 64]
void facesr_host_blend(const Frame *frame, const Face *faces, int n, const float *low, const float *high) {
    std::vector<float> difference(n * 3 * LOW_PLANE), smooth(difference.size());
    std::vector<float> components(n * 3 * HIGH_PLANE);
    Index3 block = {128, 1, 1};
    launch(line(n * 3 * LOW_PLANE), block, [&] { facesr_difference(low, high, n, difference.data()); });
    launch(line(n * 3 * LOW_PLANE), block, [&] { facesr_smooth(difference.data(), n, smooth.data()); });
    launch(line(n * HIGH_PLANE), block,
           [&] { facesr_correct(*frame, high, smooth.data(), n, components.data()); });
    float side = 0.0f;
    for (int i = 0; i < n; ++i) side = fmaxf(side, faces[i].side);
    unsigned across = ((unsigned)ceilf(side) + 1 + 15) / 16;
    for (int i = 0; i < frame->count; ++i)
        launch({across, across, (unsigned)n}, {16, 16, 1},
               [&] { facesr_blend(*frame, i, faces, n, components.data()); });
}

}  // extern "C"
