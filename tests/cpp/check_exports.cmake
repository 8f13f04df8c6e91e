# Fails unless MODULE exports the contract and nothing else. ctest runs it with cmake -P.
execute_process(COMMAND "${NM}" -D --defined-only "${MODULE}" OUTPUT_VARIABLE lines
                COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL " [A-Za-z] [^\n]+" symbols "${lines}")
list(TRANSFORM symbols REPLACE "^ [A-Za-z] " "")
list(SORT symbols)
set(expected alloc_state chi_module get_module_name is_chimaera_task_ new_state)
if(NOT symbols STREQUAL expected)
  message(FATAL_ERROR "${MODULE} exports ${symbols}")
endif()
