#include <iostream>
#include <string>

#include "kv/kv_client.h"

int main() {
  try {
    chi::Session session;
    chimaera::kv::Client store;
    store.Create(HSHM_MCTX, "shared", {}, 4);
    for (int i = 0; i < 100; ++i) {
      store.Put(HSHM_MCTX, chi::DomainQuery::Dynamic(), "wave/" + std::to_string(i), "white");
    }

    chi::u64 keys = 0;
    for (chi::u32 id = 0; id < 4; ++id) {
      keys += store.Count(HSHM_MCTX, chi::DomainQuery::LocalId(id));
    }
    std::cout << "Four containers have " << keys << " keys.\n";
  } catch (const chi::Error &error) {
    std::cerr << chi::StatusName(error.status()) << ": " << error.what() << "\n";
    return 1;
  }
}
