// The client of the built-in store, from C++ and without other modules.
#include <iostream>

#include "kv/kv_client.h"

int main() {
  try {
    chi::Session session;
    const auto query = chi::DomainQuery::Dynamic();
    chimaera::kv::Client store;
    store.Create(HSHM_MCTX, "consumer_store");
    store.Put(HSHM_MCTX, query, "key", "kept");
    std::cout << store.Get(HSHM_MCTX, query, "key") << "\n";
  } catch (const chi::Error &error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
