// The kernels as host code, launched as a CUDA driver would: by name, with addresses of arguments.
// For tests.
#include "host_shim.h"

#include "face.cu"

#include <cstddef>
#include <cstring>
#include <utility>

// kernel(args...), the arguments being those that `from` points to.
template <class... Args, std::size_t... I>
static void call(void (*kernel)(Args...), void **from, std::index_sequence<I...>) {
    kernel(*static_cast<Args *>(from[I])...);
}

template <class... Args>
static void call(void (*kernel)(Args...), void **from) {
    call(kernel, from, std::index_sequence_for<Args...>{});
}

extern "C" {

// 0, or 1 if there is no kernel of that name.
int facesr_host_launch(const char *name, const unsigned *grid, const unsigned *block, void **args) {
    Index3 blocks = {grid[0], grid[1], grid[2]}, threads = {block[0], block[1], block[2]};
#define KERNEL(kernel)                                      \
    if (std::strcmp(name, #kernel) == 0) {                  \
        launch(blocks, threads, [&] { call(kernel, args); }); \
        return 0;                                           \
    }
    KERNEL(facesr_taps)
    KERNEL(facesr_patches)
    KERNEL(facesr_crop)
    KERNEL(facesr_gather)
    KERNEL(facesr_steady)
    KERNEL(facesr_difference)
    KERNEL(facesr_smooth)
    KERNEL(facesr_excess)
    KERNEL(facesr_convert)
    KERNEL(facesr_base)
    KERNEL(facesr_blend)
#undef KERNEL
    return 1;
}

}  // extern "C"
