/* The globals of example:empty's client; the client itself is in its header. */
#include "empty/empty_client.h"

namespace example::empty {

const char *const kModuleName = "example:empty";

}  // namespace example::empty
