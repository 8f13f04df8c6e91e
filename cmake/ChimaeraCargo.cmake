# Builds the Rust part with cargo. Its libraries and its program become the targets of
# ChimaeraTargets.cmake. Each Rust module is linked into CHIMAERA_MODULE_DIR, beside the C++
# modules.

include(ChimaeraTargets)

set(CHIMAERA_CARGO_TARGET_DIR "${PROJECT_SOURCE_DIR}/target"
    CACHE PATH "The directory that cargo builds into")
set(_chimaera_release "${CHIMAERA_CARGO_TARGET_DIR}/release")

# cargo names libraries without a version, but the loader looks for the SONAME.
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
  set(_chimaera_cargo "${CHIMAERA_CARGO}" build --release --target-dir
                      "${CHIMAERA_CARGO_TARGET_DIR}")

  # What C and C++ targets link, and what the build itself runs: most targets wait for only these.
  set(_chimaera_base_products
      "${_chimaera_libraries}/libchimaera_client.so" "${_chimaera_release}/libchimaera_client.so"
      "${_chimaera_release}/libchimaera_client.a" "${_chimaera_release}/chimaera")
  set(_chimaera_rest_products "${_chimaera_libraries}/libchimaera_embedded.so"
                              "${_chimaera_release}/libchimaera_embedded.so")
  set(_chimaera_base chimaera_cargo)
  # Whatever part of the workspace is built, its crates get the features that they have in a full
  # build. So a full build continues from `make demo`, and a project that adds this one uses what
  # `make build` has built, instead of rebuilding the program. The tests cmake_demo and cmake_added
  # compare the features.
  set(_chimaera_features chimaera/module,chimaera/runtime)
  if(CHIMAERA_BUILD_TESTS OR NOT CHIMAERA_IS_TOP_LEVEL)
    string(APPEND _chimaera_features ",chimaera-front/conformance")
  endif()
  # The program, the libraries and the modules.
  set(CHIMAERA_PACKAGES
      -p chimaera -p chimaera-cli -p chimaera-client-c -p chimaera-runtime-c -p chimaera-bdev-runtime
      -p chimaera-bench-runtime -p chimaera-empty-runtime -p chimaera-kv-runtime -p chimaera-front
      --features ${_chimaera_features})
  set(_chimaera_packages ${CHIMAERA_PACKAGES})
  if(CHIMAERA_IS_TOP_LEVEL)
    # `make demo` stops here.
    set(CHIMAERA_DEMO_PACKAGES
        -p chimaera-cli -p chimaera-client-c -p chimaera-kv-runtime -p chimaera-demo-store -p chimaera
        -p chimaera-front --features ${_chimaera_features})
    set(_chimaera_base chimaera_cargo_demo)
    add_custom_target(
      chimaera_cargo_demo
      COMMAND ${_chimaera_cargo} ${CHIMAERA_DEMO_PACKAGES} ${CHIMAERA_CARGO_FLAGS}
      WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
      BYPRODUCTS ${_chimaera_base_products}
      COMMENT "Building the program, the client and a store with cargo"
      USES_TERMINAL VERBATIM)
  else()
    list(APPEND _chimaera_rest_products ${_chimaera_base_products})
  endif()
  # The tests are members of the workspace: one set of packages means one set of features, and so
  # one build for all of them.
  if(CHIMAERA_BUILD_TESTS)
    set(_chimaera_packages --workspace)
  endif()
  # Always run: cargo knows better than CMake what is out of date.
  add_custom_target(
    chimaera_cargo ALL
    COMMAND ${_chimaera_cargo} ${_chimaera_packages} ${CHIMAERA_CARGO_FLAGS}
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
    BYPRODUCTS ${_chimaera_rest_products}
    COMMENT "Building the Rust part with cargo"
    USES_TERMINAL VERBATIM)
  if(CHIMAERA_IS_TOP_LEVEL)
    add_dependencies(chimaera_cargo chimaera_cargo_demo)
  endif()
  foreach(target IN ITEMS client_shared client_static program)
    add_dependencies(chimaera::${target} ${_chimaera_base})
  endforeach()
  add_dependencies(chimaera::embedded chimaera_cargo)
endif()
