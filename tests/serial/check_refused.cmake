# Checks that the compiler refuses SOURCE with the message in its first line.

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
  message(FATAL_ERROR "the output lacks \"${expected}\":\n${said}")
endif()
