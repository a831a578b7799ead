// A CUDA driver in system memory, for tests: what facesr and GStreamer's CUDA library ask of
// libcuda.so.1, with facesr's kernels as host code. Everything is done at once, on the calling
// thread. It answers as CUDA would where they are wrong: no context, memory that is none of its own, a
// kernel that the module does not have.
// facesr_test_driver_fail(N) lets N more allocations, copies, launches and waits be done; all after
// them fail, as on a card that has broken down.
#include "../../../kernels/host.cpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace {

enum Result {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    INVALID_IMAGE = 200,
    INVALID_CONTEXT = 201,
    NOT_FOUND = 500,
    LAUNCH_FAILED = 719,
    NOT_SUPPORTED = 801,
};

typedef std::uint64_t Address;

struct Context {
    bool primary;
};
struct Stream {
    Context *context;
};
struct Module {
    std::string text;
};
struct Event {
    std::chrono::steady_clock::time_point at;
};
struct Allocation {
    std::size_t length;
    Context *context;
    unsigned char *block;
};

const std::size_t GUARD = 64;
const unsigned char GUARD_BYTE = 0xA5;

Context primary = {true};
thread_local std::vector<Context *> current;
std::mutex lock;
std::map<Address, Allocation> memory;
std::set<std::string> names;
std::atomic<long> calls_left{-1};
bool started = false;

// Whether the calling thread has a context and the card still works.
Result call() {
    if (calls_left == 0) return LAUNCH_FAILED;
    if (calls_left > 0) --calls_left;
    return current.empty() || !current.back() ? INVALID_CONTEXT : SUCCESS;
}

// The allocation that holds `length` bytes from `at` on.
const Allocation *find(Address at, std::size_t length) {
    std::lock_guard<std::mutex> guard(lock);
    auto next = memory.upper_bound(at);
    if (next == memory.begin()) return nullptr;
    auto found = std::prev(next);
    return at + length <= found->first + found->second.length ? &found->second : nullptr;
}

// Whether a copy may touch `length` bytes from `at` on. ONNX Runtime, which shares the memory with this
// driver, has some of its own, of which nothing is known here.
bool reachable(Address at, std::size_t length) {
    if (find(at, length)) return true;
    std::lock_guard<std::mutex> guard(lock);
    for (const auto &entry : memory)
        if (at < entry.first + entry.second.length + GUARD && entry.first < at + length + GUARD) return false;
    return true;
}

Result allocate(Address *at, std::size_t length) {
    Result result = call();
    if (result != SUCCESS) return result;
    if (length == 0) return INVALID_VALUE;
    unsigned char *block = static_cast<unsigned char *>(std::aligned_alloc(512, (length + 512 + GUARD + 511) / 512 * 512));
    if (!block) return OUT_OF_MEMORY;
    // Unlike a card's, the memory is never zero by chance.
    std::memset(block, GUARD_BYTE, length + 512 + GUARD);
    *at = reinterpret_cast<Address>(block + 512);
    std::lock_guard<std::mutex> guard(lock);
    memory[*at] = {length, current.back(), block};
    return SUCCESS;
}

Result release(Address at) {
    std::lock_guard<std::mutex> guard(lock);
    auto found = memory.find(at);
    if (found == memory.end()) return INVALID_VALUE;
    const Allocation &a = found->second;
    for (std::size_t i = 0; i < GUARD; ++i)
        if (a.block[512 - GUARD + i] != GUARD_BYTE || a.block[512 + a.length + i] != GUARD_BYTE) {
            std::fprintf(stderr, "test driver: %zu bytes were written beyond\n", a.length);
            std::abort();
        }
    std::free(a.block);
    memory.erase(found);
    return SUCCESS;
}

// A piece of a copy in two dimensions (half of CUDA_MEMCPY2D).
struct Side {
    std::size_t x, y;
    unsigned kind;
    const void *host;
    Address device;
    void *array;
    std::size_t pitch;
};
struct Copy2D {
    Side from, to;
    std::size_t width, height;
};

// Where row 0 of a side begins; null if that is not memory of the kind it is said to be.
unsigned char *start(const Side &side, std::size_t width, std::size_t height) {
    if (side.kind == 1)
        return static_cast<unsigned char *>(const_cast<void *>(side.host)) + side.y * side.pitch + side.x;
    if (side.kind != 2 || height == 0 || side.pitch < width) return nullptr;
    Address at = side.device + side.y * side.pitch + side.x;
    return find(at, (height - 1) * side.pitch + width) ? reinterpret_cast<unsigned char *>(at) : nullptr;
}

}  // namespace

#define API extern "C" __attribute__((visibility("default"))) int

extern "C" __attribute__((visibility("default"))) void facesr_test_driver_fail(long calls) { calls_left = calls; }

API cuInit(unsigned) {
    started = true;
    return SUCCESS;
}
API cuDriverGetVersion(int *version) {
    *version = 13000;
    return SUCCESS;
}
API cuGetErrorName(int error, const char **text) {
    switch (error) {
    case INVALID_VALUE: *text = "CUDA_ERROR_INVALID_VALUE"; break;
    case OUT_OF_MEMORY: *text = "CUDA_ERROR_OUT_OF_MEMORY"; break;
    case INVALID_CONTEXT: *text = "CUDA_ERROR_INVALID_CONTEXT"; break;
    case LAUNCH_FAILED: *text = "CUDA_ERROR_LAUNCH_FAILED"; break;
    default: *text = "CUDA_ERROR_UNKNOWN";
    }
    return SUCCESS;
}
API cuGetErrorString(int error, const char **text) {
    *text = error == LAUNCH_FAILED ? "unspecified launch failure" : "error of the test driver";
    return SUCCESS;
}

API cuDeviceGetCount(int *count) {
    *count = 1;
    return started ? SUCCESS : NO_DEVICE;
}
API cuDeviceGet(int *device, int ordinal) {
    *device = ordinal;
    return ordinal == 0 ? SUCCESS : INVALID_DEVICE;
}
API cuDeviceGetName(char *name, int length, int) {
    std::snprintf(name, static_cast<std::size_t>(length), "facesr test driver");
    return SUCCESS;
}
API cuDeviceGetAttribute(int *value, int attribute, int) {
    switch (attribute) {
    case 14: *value = 512; break;             // texture alignment
    case 16: *value = 132; break;             // multiprocessors
    case 75: *value = 9; break;               // compute capability
    default: *value = 0;
    }
    return SUCCESS;
}
API cuDeviceCanAccessPeer(int *can, int, int) {
    *can = 0;
    return SUCCESS;
}
API cuDevicePrimaryCtxRetain(Context **context, int device) {
    *context = &primary;
    return device == 0 ? SUCCESS : INVALID_DEVICE;
}
API cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }

API cuCtxCreate_v2(Context **context, unsigned, int) {
    *context = new Context{false};
    current.push_back(*context);
    return SUCCESS;
}
API cuCtxDestroy_v2(Context *) { return SUCCESS; }
API cuCtxPushCurrent_v2(Context *context) {
    current.push_back(context);
    return SUCCESS;
}
API cuCtxPopCurrent_v2(Context **context) {
    if (current.empty()) return INVALID_CONTEXT;
    if (context) *context = current.back();
    current.pop_back();
    return SUCCESS;
}
API cuCtxGetCurrent(Context **context) {
    *context = current.empty() ? nullptr : current.back();
    return SUCCESS;
}
API cuCtxSetCurrent(Context *context) {
    if (current.empty())
        current.push_back(context);
    else
        current.back() = context;
    return SUCCESS;
}
API cuCtxSynchronize() { return call(); }

API cuModuleLoadData(Module **module, const void *image) {
    std::string text = static_cast<const char *>(image);
    if (text.find(".target sm_75") == std::string::npos) return INVALID_IMAGE;
    *module = new Module{text};
    return SUCCESS;
}
API cuModuleUnload(Module *module) {
    delete module;
    return SUCCESS;
}
API cuModuleGetFunction(const std::string **function, Module *module, const char *name) {
    if (module->text.find(".entry " + std::string(name) + "(") == std::string::npos) return NOT_FOUND;
    std::lock_guard<std::mutex> guard(lock);
    *function = &*names.insert(name).first;
    return SUCCESS;
}
API cuLaunchKernel(const std::string *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                   unsigned bz, unsigned, Stream *stream, void **arguments, void **) {
    Result result = call();
    if (result != SUCCESS) return result;
    if (!gx || !gy || !gz || gy > 65535 || gz > 65535 || bx * by * bz > 1024 || (stream && stream->context != current.back()))
        return INVALID_VALUE;
    unsigned grid[3] = {gx, gy, gz}, block[3] = {bx, by, bz};
    return facesr_host_launch(function->c_str(), grid, block, arguments) ? NOT_FOUND : SUCCESS;
}

API cuStreamCreate(Stream **stream, unsigned) {
    if (current.empty()) return INVALID_CONTEXT;
    *stream = new Stream{current.back()};
    return SUCCESS;
}
API cuStreamDestroy_v2(Stream *stream) {
    delete stream;
    return SUCCESS;
}
API cuStreamDestroy(Stream *stream) { return cuStreamDestroy_v2(stream); }
API cuStreamSynchronize(Stream *) { return call(); }

API cuEventCreate(Event **event, unsigned) {
    *event = new Event{};
    return SUCCESS;
}
API cuEventDestroy_v2(Event *event) {
    delete event;
    return SUCCESS;
}
API cuEventRecord(Event *event, Stream *) {
    event->at = std::chrono::steady_clock::now();
    return SUCCESS;
}
API cuEventSynchronize(Event *) { return call(); }
API cuEventElapsedTime(float *milliseconds, Event *start, Event *end) {
    *milliseconds = std::chrono::duration<float, std::milli>(end->at - start->at).count();
    return SUCCESS;
}

API cuMemAlloc_v2(Address *at, std::size_t length) { return allocate(at, length); }
API cuMemAllocPitch_v2(Address *at, std::size_t *pitch, std::size_t width, std::size_t height, unsigned) {
    *pitch = (width + 511) / 512 * 512;
    return allocate(at, *pitch * height);
}
API cuMemFree_v2(Address at) { return release(at); }
API cuMemAllocHost_v2(void **at, std::size_t length) {
    *at = std::malloc(length);
    return *at ? SUCCESS : OUT_OF_MEMORY;
}
API cuMemHostAlloc(void **at, std::size_t length, unsigned) { return cuMemAllocHost_v2(at, length); }
API cuMemFreeHost(void *at) {
    std::free(at);
    return SUCCESS;
}
API cuPointerGetAttribute(void *value, int attribute, Address at) {
    const Allocation *found = find(at, 1);
    if (!found || attribute != 1) return INVALID_VALUE;
    *static_cast<Context **>(value) = found->context;
    return SUCCESS;
}
API cuMemsetD8Async(Address at, unsigned char value, std::size_t length, Stream *) {
    Result result = call();
    if (result != SUCCESS) return result;
    if (!reachable(at, length)) return INVALID_VALUE;
    std::memset(reinterpret_cast<void *>(at), value, length);
    return SUCCESS;
}
API cuMemcpyHtoDAsync_v2(Address to, const void *from, std::size_t length, Stream *) {
    Result result = call();
    if (result != SUCCESS) return result;
    if (!reachable(to, length)) return INVALID_VALUE;
    std::memcpy(reinterpret_cast<void *>(to), from, length);
    return SUCCESS;
}
API cuMemcpyDtoHAsync_v2(void *to, Address from, std::size_t length, Stream *) {
    Result result = call();
    if (result != SUCCESS) return result;
    if (!reachable(from, length)) return INVALID_VALUE;
    std::memcpy(to, reinterpret_cast<const void *>(from), length);
    return SUCCESS;
}
API cuMemcpyDtoDAsync_v2(Address to, Address from, std::size_t length, Stream *) {
    Result result = call();
    if (result != SUCCESS) return result;
    if (!reachable(to, length) || !reachable(from, length)) return INVALID_VALUE;
    std::memcpy(reinterpret_cast<void *>(to), reinterpret_cast<const void *>(from), length);
    return SUCCESS;
}
API cuMemcpy2D_v2(const Copy2D *copy) {
    Result result = call();
    if (result != SUCCESS) return result;
    unsigned char *from = start(copy->from, copy->width, copy->height);
    unsigned char *to = start(copy->to, copy->width, copy->height);
    if (!from || !to) return INVALID_VALUE;
    for (std::size_t y = 0; y < copy->height; ++y)
        std::memcpy(to + y * copy->to.pitch, from + y * copy->from.pitch, copy->width);
    return SUCCESS;
}
API cuMemcpy2DAsync_v2(const Copy2D *copy, Stream *) { return cuMemcpy2D_v2(copy); }

// What GStreamer's CUDA library looks for and does not need for frames in CUDA memory.
#define ABSENT(name) \
    API name() { return NOT_SUPPORTED; }
ABSENT(cuCtxEnablePeerAccess)
ABSENT(cuCtxDisablePeerAccess)
ABSENT(cuGraphicsMapResources)
ABSENT(cuGraphicsUnmapResources)
ABSENT(cuGraphicsUnregisterResource)
ABSENT(cuGraphicsGLRegisterImage)
ABSENT(cuGraphicsGLRegisterBuffer)
ABSENT(cuGraphicsResourceSetMapFlags_v2)
ABSENT(cuGraphicsSubResourceGetMappedArray)
ABSENT(cuGraphicsResourceGetMappedPointer_v2)
ABSENT(cuGLGetDevices_v2)
ABSENT(cuTexObjectCreate)
ABSENT(cuTexObjectDestroy)
