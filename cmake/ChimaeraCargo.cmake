# Builds the Rust part and gives its libraries to CMake:
#
#   chimaera::client         libchimaera_client.so
#   chimaera::client_static  libchimaera_client.a, for applications only, never for modules

set(CHIMAERA_CARGO_TARGET_DIR "${PROJECT_SOURCE_DIR}/target"
    CACHE PATH "The directory that cargo builds into")
set(_chimaera_release "${CHIMAERA_CARGO_TARGET_DIR}/release")

add_library(chimaera_client SHARED IMPORTED GLOBAL)
add_library(chimaera::client ALIAS chimaera_client)
set_target_properties(
  chimaera_client
  PROPERTIES IMPORTED_LOCATION "${_chimaera_release}/libchimaera_client.so"
             IMPORTED_SONAME "libchimaera_client.so"
             INTERFACE_INCLUDE_DIRECTORIES "${PROJECT_SOURCE_DIR}/include"
             INTERFACE_COMPILE_FEATURES "$<$<COMPILE_LANGUAGE:CXX>:cxx_std_17>")

add_library(chimaera_client_static STATIC IMPORTED GLOBAL)
add_library(chimaera::client_static ALIAS chimaera_client_static)
set_target_properties(
  chimaera_client_static
  PROPERTIES IMPORTED_LOCATION "${_chimaera_release}/libchimaera_client.a"
             INTERFACE_INCLUDE_DIRECTORIES "${PROJECT_SOURCE_DIR}/include"
             INTERFACE_COMPILE_FEATURES "$<$<COMPILE_LANGUAGE:CXX>:cxx_std_17>"
             INTERFACE_LINK_LIBRARIES "pthread;dl;m")

if(CHIMAERA_BUILD_CARGO)
  find_program(CHIMAERA_CARGO cargo REQUIRED)
  # Always run: cargo knows better than CMake what is out of date.
  add_custom_target(
    chimaera_cargo ALL
    COMMAND "${CHIMAERA_CARGO}" build --release --target-dir "${CHIMAERA_CARGO_TARGET_DIR}"
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
    BYPRODUCTS "${_chimaera_release}/libchimaera_client.so"
               "${_chimaera_release}/libchimaera_client.a"
    COMMENT "Building the Rust part with cargo"
    USES_TERMINAL VERBATIM)
  add_dependencies(chimaera_client chimaera_cargo)
  add_dependencies(chimaera_client_static chimaera_cargo)
endif()
