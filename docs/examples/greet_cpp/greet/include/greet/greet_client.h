/* The client of hello:greet: chimaera_mod.yaml describes its calls. */
#ifndef HELLO_GREET_CLIENT_H_
#define HELLO_GREET_CLIENT_H_

#include "greet_described_client.h"

namespace hello::greet {

using Client = DescribedClient;

}  // namespace hello::greet

#endif  // HELLO_GREET_CLIENT_H_
