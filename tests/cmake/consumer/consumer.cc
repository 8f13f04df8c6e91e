// Calls a module of each installed repo.
#include <iostream>
#include <string>

#include "greet/greet_client.h"
#include "mod_name/mod_name_client.h"

int main() {
  try {
    chi::Session session;
    const auto query = chi::DomainQuery::Dynamic();

    hello::greet::Client greeter;
    greeter.Create(HSHM_MCTX, "consumer_greeter");
    std::cout << greeter.Greet(HSHM_MCTX, query, "consumer") << "\n";

    example::mod_name::Client compressor;
    compressor.Create(HSHM_MCTX, "consumer_compressor");
    const std::string text(10000, 'x');
    const std::string small = compressor.Compress(HSHM_MCTX, query, text);
    const bool same = compressor.Decompress(HSHM_MCTX, query, small, text.size()) == text;
    std::cout << (same ? "same" : "different") << "\n";
    return same ? 0 : 1;
  } catch (const chi::Error &error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
