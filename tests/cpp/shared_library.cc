/* hshm::SharedLibrary with a module, and with a file that does not exist. */
#include <dlfcn.h>

#include <cstdio>
#include <string>
#include <utility>

#include "chimaera/chimaera.h"

namespace {

int g_failures = 0;

void Expect(bool holds, const char *what) {
  if (holds) return;
  std::fprintf(stderr, "failed: %s\n", what);
  ++g_failures;
}

bool Contains(const std::string &text, const char *part) {
  return text.find(part) != std::string::npos;
}

void TestModule(const char *path) {
  hshm::SharedLibrary library(path);
  Expect(!library.IsNull() && library.GetError().empty(), "a module is loaded");
  const auto get_module_name =
      reinterpret_cast<get_module_name_t>(library.GetSymbol("get_module_name"));
  Expect(get_module_name != nullptr, "it exports get_module_name");
  Expect(std::string(get_module_name()) == "example:mod_name", "it returns its name");

  const auto new_state = reinterpret_cast<new_state_t>(library.GetSymbol("new_state"));
  const auto alloc_state = reinterpret_cast<alloc_state_t>(library.GetSymbol("alloc_state"));
  const chi::PoolId pool_id(7, 1);
  Expect(new_state(&pool_id, "pool") == nullptr, "no container before chi_module");
  Expect(alloc_state(&pool_id, "pool") == nullptr, "no container before chi_module");

  Expect(library.GetSymbol("no_such_symbol") == nullptr, "a missing symbol is null");
  Expect(Contains(library.GetError(), "no_such_symbol"), "the error names the symbol");
  library.GetSymbol("new_state");
  Expect(library.GetError().empty(), "a success clears the error");
  Expect(dlsym(RTLD_DEFAULT, "get_module_name") == nullptr, "its symbols are local");

  hshm::SharedLibrary other(std::move(library));
  Expect(library.IsNull() && !other.IsNull(), "a library can be moved");
  Expect(library.GetSymbol("new_state") == nullptr && !library.GetError().empty(),
         "an empty library has no symbols");
  other = hshm::SharedLibrary();
  Expect(other.IsNull(), "a library can be released");
  Expect(std::string(get_module_name()) == "example:mod_name", "its code stays loaded");
}

void TestNone() {
  hshm::SharedLibrary library;
  Expect(library.IsNull() && library.GetError().empty(), "a new object is empty and has no error");
  Expect(!library.Load("/no/such/library.so") && library.IsNull(), "a missing file is not loaded");
  Expect(Contains(library.GetError(), "/no/such/library.so"), "the error names the file");
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s module\n", argv[0]);
    return 2;
  }
  TestModule(argv[1]);
  TestNone();
  return g_failures == 0 ? 0 : 1;
}
