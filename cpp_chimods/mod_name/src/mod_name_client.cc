/* The globals of example:mod_name's client; the client itself is in its header. */
#include "mod_name/mod_name_client.h"

namespace example::mod_name {

const char *const kModuleName = "example:mod_name";

}  // namespace example::mod_name
