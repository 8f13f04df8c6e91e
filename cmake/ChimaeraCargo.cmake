# Builds the Rust part, and gives its libraries and its program to CMake as the targets of
# ChimaeraTargets.cmake, and a link to each module in Rust beside the modules in C++, in
# CHIMAERA_MODULE_DIR.

include(ChimaeraTargets)

set(CHIMAERA_CARGO_TARGET_DIR "${PROJECT_SOURCE_DIR}/target"
    CACHE PATH "The directory that cargo builds into")
set(_chimaera_release "${CHIMAERA_CARGO_TARGET_DIR}/release")

# cargo names a library's file without the version, the loader asks for it by its SONAME.
set(_chimaera_libraries "${PROJECT_BINARY_DIR}/lib")
file(MAKE_DIRECTORY "${_chimaera_libraries}")
foreach(name IN ITEMS client embedded)
  foreach(link IN ITEMS libchimaera_${name}.so libchimaera_${name}.so.${PROJECT_VERSION_MAJOR})
    file(CREATE_LINK "${_chimaera_release}/libchimaera_${name}.so" "${_chimaera_libraries}/${link}"
         SYMBOLIC)
  endforeach()
endforeach()

_chimaera_add_targets(
  INCLUDE "${PROJECT_SOURCE_DIR}/include"
  BDEV_INCLUDE "${PROJECT_SOURCE_DIR}/rust_chimods/bdev/include"
               "${PROJECT_SOURCE_DIR}/rust_chimods/bdev/autogen"
  KV_INCLUDE "${PROJECT_SOURCE_DIR}/rust_chimods/kv/include"
             "${PROJECT_SOURCE_DIR}/rust_chimods/kv/autogen"
  CLIENT "${_chimaera_libraries}/libchimaera_client.so"
  CLIENT_STATIC "${_chimaera_release}/libchimaera_client.a"
  EMBEDDED "${_chimaera_libraries}/libchimaera_embedded.so"
  PROGRAM "${_chimaera_release}/chimaera"
  SOVERSION "${PROJECT_VERSION_MAJOR}")

file(MAKE_DIRECTORY "${CHIMAERA_MODULE_DIR}")
foreach(module IN ITEMS libchimaera_bdev_runtime.so libchimaera_bench_runtime.so
                        libchimaera_empty_runtime.so libchimaera_kv_runtime.so)
  file(CREATE_LINK "${_chimaera_release}/${module}" "${CHIMAERA_MODULE_DIR}/${module}" SYMBOLIC)
endforeach()

if(CHIMAERA_BUILD_CARGO)
  find_program(CHIMAERA_CARGO cargo REQUIRED)
  # The tests are members of the workspace; one set of packages means one set of features, and so one
  # build for them all.
  set(_chimaera_packages "")
  if(CHIMAERA_BUILD_TESTS)
    set(_chimaera_packages --workspace)
  endif()
  # Always run: cargo knows better than CMake what is out of date.
  add_custom_target(
    chimaera_cargo ALL
    COMMAND "${CHIMAERA_CARGO}" build --release --target-dir "${CHIMAERA_CARGO_TARGET_DIR}"
            ${_chimaera_packages} ${CHIMAERA_CARGO_FLAGS}
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
    BYPRODUCTS "${_chimaera_libraries}/libchimaera_client.so"
               "${_chimaera_libraries}/libchimaera_embedded.so"
               "${_chimaera_release}/libchimaera_client.so"
               "${_chimaera_release}/libchimaera_client.a"
               "${_chimaera_release}/libchimaera_embedded.so"
               "${_chimaera_release}/chimaera"
    COMMENT "Building the Rust part with cargo"
    USES_TERMINAL VERBATIM)
  foreach(target IN ITEMS client_shared client_static embedded program)
    add_dependencies(chimaera::${target} chimaera_cargo)
  endforeach()
endif()
