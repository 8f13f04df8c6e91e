# Builds the Rust part and gives its libraries to CMake:
#
#   chimaera::client         libchimaera_client.so
#   chimaera::client_static  libchimaera_client.a, for applications only, never for modules
#   chimaera::embedded       libchimaera_embedded.so, a runtime inside the program
#   chimaera::program        the program chimaera
#
# and a link to each module in Rust beside the modules in C++, in CHIMAERA_MODULE_DIR.

set(CHIMAERA_CARGO_TARGET_DIR "${PROJECT_SOURCE_DIR}/target"
    CACHE PATH "The directory that cargo builds into")
set(_chimaera_release "${CHIMAERA_CARGO_TARGET_DIR}/release")

# A shared library that cargo builds, as the target chimaera::<name>. cargo names its file without the
# version, the loader asks for it by its SONAME.
function(_chimaera_cargo_library name)
  set(directory "${PROJECT_BINARY_DIR}/lib")
  set(soname "libchimaera_${name}.so.${PROJECT_VERSION_MAJOR}")
  set(built "${_chimaera_release}/libchimaera_${name}.so")
  file(MAKE_DIRECTORY "${directory}")
  foreach(link IN ITEMS libchimaera_${name}.so ${soname})
    file(CREATE_LINK "${built}" "${directory}/${link}" SYMBOLIC)
  endforeach()
  # No alias: what a repo exports must name the target that find_package gives.
  add_library(chimaera::${name} SHARED IMPORTED GLOBAL)
  set_target_properties(
    chimaera::${name}
    PROPERTIES IMPORTED_LOCATION "${directory}/libchimaera_${name}.so"
               IMPORTED_SONAME "${soname}"
               INTERFACE_INCLUDE_DIRECTORIES "${PROJECT_SOURCE_DIR}/include"
               INTERFACE_COMPILE_FEATURES cxx_std_17)
endfunction()

_chimaera_cargo_library(client)
_chimaera_cargo_library(embedded)

file(MAKE_DIRECTORY "${CHIMAERA_MODULE_DIR}")
foreach(module IN ITEMS libchimaera_empty_runtime.so libchimaera_kv_runtime.so)
  file(CREATE_LINK "${_chimaera_release}/${module}" "${CHIMAERA_MODULE_DIR}/${module}" SYMBOLIC)
endforeach()

add_library(chimaera::client_static STATIC IMPORTED GLOBAL)
set_target_properties(
  chimaera::client_static
  PROPERTIES IMPORTED_LOCATION "${_chimaera_release}/libchimaera_client.a"
             INTERFACE_INCLUDE_DIRECTORIES "${PROJECT_SOURCE_DIR}/include"
             INTERFACE_COMPILE_FEATURES cxx_std_17
             INTERFACE_LINK_LIBRARIES "pthread;dl;m")

add_executable(chimaera::program IMPORTED GLOBAL)
set_target_properties(chimaera::program PROPERTIES IMPORTED_LOCATION
                                                   "${_chimaera_release}/chimaera")

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
    COMMAND "${CHIMAERA_CARGO}" build --release ${_chimaera_packages}
            --target-dir "${CHIMAERA_CARGO_TARGET_DIR}"
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
    BYPRODUCTS "${PROJECT_BINARY_DIR}/lib/libchimaera_client.so"
               "${PROJECT_BINARY_DIR}/lib/libchimaera_embedded.so"
               "${_chimaera_release}/libchimaera_client.so"
               "${_chimaera_release}/libchimaera_client.a"
               "${_chimaera_release}/libchimaera_embedded.so"
    COMMENT "Building the Rust part with cargo"
    USES_TERMINAL VERBATIM)
  add_dependencies(chimaera::client chimaera_cargo)
  add_dependencies(chimaera::client_static chimaera_cargo)
  add_dependencies(chimaera::embedded chimaera_cargo)
  add_dependencies(chimaera::program chimaera_cargo)
endif()
