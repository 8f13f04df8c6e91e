/* hshm::SharedLibrary: a shared library, loaded as the runtime loads modules. */
#ifndef CHIMAERA_SHARED_LIBRARY_H_
#define CHIMAERA_SHARED_LIBRARY_H_

#include <dlfcn.h>

#include <string>
#include <utility>

#include "chimaera/macros.h"

namespace hshm {
inline namespace v1 CHI_LAYER {

/** A shared library of this process, loaded with the flags that the runtime loads modules with: all
 * its symbols are resolved at once, none of them becomes visible to other libraries, and its code
 * stays for good, so what was found in it remains valid. Moves, does not copy. Not for several
 * threads at once.
 *
 *     hshm::SharedLibrary library("/opt/modules/libexample_mod_name_runtime.so");
 *     if (library.IsNull()) throw std::runtime_error(library.GetError());
 *     auto get_module_name =
 *         reinterpret_cast<get_module_name_t>(library.GetSymbol("get_module_name"));
 *     if (get_module_name == nullptr) throw std::runtime_error(library.GetError());
 *     std::cout << get_module_name() << "\n";
 *
 * With a glibc older than 2.34, the program that uses it links `dl`.
 *
 * Loading runs the library's constructors. The runtime therefore judges a file by its symbol table
 * first, and never loads one that is not a module; this class loads what it is told to. */
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
  /** Lets go of the library. Its code stays. */
  ~SharedLibrary() {
    if (handle_ != nullptr) dlclose(handle_);
  }

  /** Loads a library in the place of the one that is there. A `path` without a slash is looked up
   * as by the dynamic linker, `LD_LIBRARY_PATH` first. False when that fails: then IsNull, and
   * GetError says why. */
  bool Load(const std::string &path) {
    if (handle_ != nullptr) dlclose(handle_);
    handle_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    error_ = handle_ == nullptr ? Reason(path) : std::string();
    return handle_ != nullptr;
  }

  /** The address of a symbol that the library, or one that it needs, exports. Null when there is
   * none, and GetError then says so. */
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

  /** Why the last Load or GetSymbol failed; empty when it did not. */
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
