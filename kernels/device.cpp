#include "kernels/device.h"

#include <dlfcn.h>

#include <filesystem>
#include <mutex>

#include "kernels/memory.h"

namespace concord::kernels {

std::string load_kernels(DeviceType type) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  if (allocate.available(type)) return {};
  namespace fs = std::filesystem;
  std::error_code ignored;
  const fs::path programs = fs::read_symlink("/proc/self/exe", ignored).parent_path();
  const fs::path places[] = {programs, programs / "../lib", programs / "../lib/concord"};
  for (const fs::path& place : places) {
    const fs::path file = place / "libconcord_cuda.so";
    if (!fs::exists(file, ignored)) continue;
    // Its static initialisers register the kernels. Never closed: they point into it.
    if (::dlopen(file.c_str(), RTLD_NOW | RTLD_GLOBAL) == nullptr)
      return fmt::format("{} cannot be loaded: {}", fs::weakly_canonical(file, ignored).string(),
                         ::dlerror());
    if (allocate.available(type)) return {};
    return fmt::format("{} holds no kernels", file.string());
  }
  return "this build has no CUDA; build with nvcc, cuDNN and cuBLAS installed";
}

}  // namespace concord::kernels
