# The compiler refuses SOURCE, and says what its first line promises.

file(STRINGS "${SOURCE}" first LIMIT_COUNT 1)
string(REGEX REPLACE "^// refused: " "" expected "${first}")
execute_process(
  COMMAND "${COMPILER}" -std=c++17 -fsyntax-only "-I${INCLUDE}" "${SOURCE}"
  RESULT_VARIABLE result
  ERROR_VARIABLE said)
if(result EQUAL 0)
  message(FATAL_ERROR "${SOURCE} compiles")
endif()
string(FIND "${said}" "${expected}" found)
if(found EQUAL -1)
  message(FATAL_ERROR "not a word of \"${expected}\":\n${said}")
endif()
