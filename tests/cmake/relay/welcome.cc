/* Has relay:polite greet the name stored under a key of chimaera:kv, from C++. */
#include <iostream>

#include "kv/kv_client.h"
#include "polite_described_client.h"

int main() {
  try {
    chi::Session session;
    const auto query = chi::DomainQuery::Dynamic();
    chimaera::kv::Client guests;
    guests.Create(HSHM_MCTX, "guests");
    guests.Put(HSHM_MCTX, query, "first", "Ada");

    relay::polite::DescribedClient host;
    host.Create(HSHM_MCTX, "host");
    const std::string guest = guests.Get(HSHM_MCTX, query, "first");
    const relay::polite::WelcomeResult welcome = host.Welcome(HSHM_MCTX, query, guest, 2);
    std::cout << welcome.text_ << welcome.lengths_.at(1) << "\n";
  } catch (const chi::Error &error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
