/* Functions that callers look up by name but must not need here: kernels, textures, graphics, managed memory.
 * They answer CUDA_ERROR_NOT_SUPPORTED and are recorded as a violation, so that no test relies on them unseen. */
#include "cuda.h"

#define REFUSED(name)                                                     \
    CUresult name(void);                                                  \
    CUresult name(void) {                                                 \
        Line line;                                                        \
        line_begin(&line, #name);                                         \
        line_violation(&line, "the stand-in does not imitate this call"); \
        return cuda_end(&line, NOT_SUPPORTED);                            \
    }

REFUSED(cuMemAllocManaged)
REFUSED(cuMemHostAlloc)
REFUSED(cuMemFreeHost)
REFUSED(cuMemsetD8Async)
REFUSED(cuMemsetD16Async)
REFUSED(cuMemsetD32Async)
REFUSED(cuMemsetD2D8Async)
REFUSED(cuMemsetD2D16Async)
REFUSED(cuMemsetD2D32Async)
REFUSED(cuMemcpy)
REFUSED(cuMemcpyAsync)
REFUSED(cuMemcpyDtoD_v2)
REFUSED(cuMemcpyDtoDAsync_v2)
REFUSED(cuDevicePrimaryCtxReset)
REFUSED(cuDeviceGetByPCIBusId)
REFUSED(cuCtxGetStreamPriorityRange)
REFUSED(cuStreamCreateWithPriority)
REFUSED(cuStreamAddCallback)
REFUSED(cuLaunchHostFunc)
REFUSED(cuLaunchKernel)
REFUSED(cuLinkCreate)
REFUSED(cuLinkAddData)
REFUSED(cuLinkComplete)
REFUSED(cuLinkDestroy)
REFUSED(cuModuleLoadData)
REFUSED(cuModuleUnload)
REFUSED(cuModuleGetFunction)
REFUSED(cuModuleGetGlobal)
REFUSED(cuTexObjectCreate)
REFUSED(cuTexObjectDestroy)
REFUSED(cuGLGetDevices_v2)
REFUSED(cuGraphicsGLRegisterImage)
REFUSED(cuGraphicsUnregisterResource)
REFUSED(cuGraphicsMapResources)
REFUSED(cuGraphicsUnmapResources)
REFUSED(cuGraphicsSubResourceGetMappedArray)
REFUSED(cuGraphicsResourceGetMappedPointer_v2)
REFUSED(cuArrayCreate_v2)
REFUSED(cuArray3DCreate_v2)
REFUSED(cuArray3DGetDescriptor_v2)
REFUSED(cuArrayDestroy)
REFUSED(cuArrayGetPlane)
