#include "mod_name/mod_name_client.h"
