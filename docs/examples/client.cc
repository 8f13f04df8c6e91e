#include <iostream>
#include <string>

#include "mod_name/mod_name_client.h"

int main() {
  try {
    chi::Session session;
    example::mod_name::Client client;
    client.Create(HSHM_MCTX, "my_compressor");

    const auto query = chi::DomainQuery::Dynamic();
    const std::string text(100000, 'a');
    const std::string small = client.Compress(HSHM_MCTX, query, text);
    const std::string again = client.Decompress(HSHM_MCTX, query, small, text.size());
    std::cout << text.size() << " bytes became " << small.size() << ", and "
              << (again == text ? "came back" : "were lost") << ".\n";
  } catch (const chi::Error &error) {
    std::cerr << chi::StatusName(error.status()) << ": " << error.what() << "\n";
    return 1;
  }
}
