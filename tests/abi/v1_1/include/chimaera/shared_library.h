/* hshm::SharedLibrary: a shared library, loaded in the same way as the runtime loads modules. */
#ifndef CHIMAERA_SHARED_LIBRARY_H_
#define CHIMAERA_SHARED_LIBRARY_H_

#include <dlfcn.h>

#include <string>
#include <utility>

#include "chimaera/macros.h"

namespace hshm {
inline namespace v1 CHI_LAYER {

/** A shared library in this process, loaded with the same flags as the runtime's modules: its
 * symbols are resolved at once and stay invisible to other libraries, and its code is never
 * unloaded, so that addresses from GetSymbol stay valid. Movable, not copyable. Not thread-safe.
 *
 *     hshm::SharedLibrary library("/opt/modules/libexample_mod_name_runtime.so");
 *     if (library.IsNull()) throw std::runtime_error(library.GetError());
 *     auto get_module_name =
 *         reinterpret_cast<get_module_name_t>(library.GetSymbol("get_module_name"));
 *     if (get_module_name == nullptr) throw std::runtime_error(library.GetError());
 *     std::cout << get_module_name() << "\n";
 *
 * With a glibc older than 2.34, the program must link `dl`.
 *
 * Loading a library runs its constructors. The runtime therefore checks a file's symbol table
 * first, and never loads a file that is not a module; this class loads any library. */
class SharedLibrary {
 public:
  /** No library. */
  SharedLibrary() = default;
  /** Loads `path`, as Load does. */
  explicit SharedLibrary(const std::string &path) { Load(path); }
  SharedLibrary(SharedLibrary &&other) noexcept
      : handle_(std::exchange(other.handle_, nullptr)), error_(std::move(other.error_)) {}
  SharedLibrary &operator=(SharedLibrary &&other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(error_, other.error_);
    return *this;
  }
  /** Releases the library. Its code stays loaded. */
  ~SharedLibrary() {
    if (handle_ != nullptr) dlclose(handle_);
  }

  /** Loads a library, and releases the current one. A `path` without a slash is searched by the
   * dynamic linker, in `LD_LIBRARY_PATH` first. Returns false on failure: IsNull is then true, and
   * GetError says why. */
  bool Load(const std::string &path) {
    if (handle_ != nullptr) dlclose(handle_);
    handle_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    error_ = handle_ == nullptr ? Reason(path) : std::string();
    return handle_ != nullptr;
  }

  /** The address of a symbol that the library, or one of its dependencies, exports. Null when there
   * is none; GetError then says why. */
  void *GetSymbol(const std::string &name) {
    error_.clear();
    if (handle_ == nullptr) {
      error_ = "no library is loaded";
      return nullptr;
    }
    void *symbol = dlsym(handle_, name.c_str());
    if (symbol == nullptr) error_ = Reason(name);
    return symbol;
  }

  /** Why the last Load or GetSymbol failed; empty when it succeeded. */
  const std::string &GetError() const { return error_; }

  /** True when no library is loaded. */
  bool IsNull() const { return handle_ == nullptr; }

 private:
  static std::string Reason(const std::string &what) {
    const char *reason = dlerror();
    return reason != nullptr ? reason : what + " is null";
  }

  void *handle_ = nullptr;
  std::string error_;
};

}  // namespace v1
}  // namespace hshm

#endif  // CHIMAERA_SHARED_LIBRARY_H_
