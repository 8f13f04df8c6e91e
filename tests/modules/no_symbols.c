/* A shared library that has nothing to do with Chimaera. */
int no_symbols_answer(void) { return 42; }
