#include <iostream>

#include "greet/greet_client.h"

int main(int argc, char **argv) {
  try {
    chi::Session session;
    hello::greet::Client client;
    client.Create(HSHM_MCTX, "greeter");
    const char *name = argc > 1 ? argv[1] : "world";
    std::cout << client.Greet(HSHM_MCTX, chi::DomainQuery::Dynamic(), name) << "\n";
  } catch (const chi::Error &error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
