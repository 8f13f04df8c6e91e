/* A shared library without the contract whose constructor aborts: who loads it, dies. */
#include <stdlib.h>

__attribute__((constructor)) static void AbortAtLoad(void) { abort(); }
