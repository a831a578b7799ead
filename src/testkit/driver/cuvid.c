// Stands for libnvcuvid.so.1, without which GStreamer registers none of its elements for CUDA: a card that
// decodes nothing.
#define ABSENT(name) \
    int name(void) { return 801; }
ABSENT(cuvidCtxLockCreate)
ABSENT(cuvidCtxLockDestroy)
ABSENT(cuvidCtxLock)
ABSENT(cuvidCtxUnlock)
ABSENT(cuvidCreateDecoder)
ABSENT(cuvidDestroyDecoder)
ABSENT(cuvidDecodePicture)
ABSENT(cuvidCreateVideoParser)
ABSENT(cuvidParseVideoData)
ABSENT(cuvidDestroyVideoParser)
ABSENT(cuvidMapVideoFrame64)
ABSENT(cuvidUnmapVideoFrame64)
ABSENT(cuvidGetDecoderCaps)
