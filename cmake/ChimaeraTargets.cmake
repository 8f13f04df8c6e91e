# The targets for linking Chimaera, the same from its sources and from an installation:
#
#   chimaera::client         the client, for applications in C and C++ and for modules' clients. A program
#                            whose property CHIMAERA_STATIC_CLIENT is ON gets the archive, all others
#                            the shared library.
#   chimaera::client_shared  libchimaera_client.so
#   chimaera::client_static  libchimaera_client.a, for applications only, never for modules
#   chimaera::embedded       libchimaera_embedded.so, a runtime inside the program
#   chimaera::bdev_client    the client of the built-in module chimaera:bdev
#   chimaera::kv_client      the client of the built-in module chimaera:kv
#   chimaera::program        the program chimaera
#
# All of them are imported targets, not aliases: a repo's export must use the names that
# find_package defines.

# Defines one library. `ARGN` are additional properties.
function(_chimaera_add_library name type location)
  add_library(chimaera::${name} ${type} IMPORTED GLOBAL)
  set_target_properties(
    chimaera::${name}
    PROPERTIES IMPORTED_LOCATION "${location}"
               INTERFACE_INCLUDE_DIRECTORIES "${arg_INCLUDE}"
               INTERFACE_COMPILE_FEATURES cxx_std_17
               ${ARGN})
endfunction()

# _chimaera_add_targets(INCLUDE dir BDEV_INCLUDE dir... KV_INCLUDE dir... CLIENT file CLIENT_STATIC file
#                       EMBEDDED file PROGRAM file SOVERSION number)
function(_chimaera_add_targets)
  cmake_parse_arguments(
    PARSE_ARGV 0 arg "" "INCLUDE;CLIENT;CLIENT_STATIC;EMBEDDED;PROGRAM;SOVERSION"
    "BDEV_INCLUDE;KV_INCLUDE")
  _chimaera_add_library(client_shared SHARED "${arg_CLIENT}" IMPORTED_SONAME
                        "libchimaera_client.so.${arg_SOVERSION}")
  _chimaera_add_library(client_static STATIC "${arg_CLIENT_STATIC}" INTERFACE_LINK_LIBRARIES
                        "pthread;dl;rt;util;m")
  _chimaera_add_library(embedded SHARED "${arg_EMBEDDED}" IMPORTED_SONAME
                        "libchimaera_embedded.so.${arg_SOVERSION}")

  # Module clients link this target; the property of the final program selects the library.
  set(static "$<BOOL:$<TARGET_PROPERTY:CHIMAERA_STATIC_CLIENT>>")
  add_library(chimaera::client INTERFACE IMPORTED GLOBAL)
  set_property(
    TARGET chimaera::client
    PROPERTY INTERFACE_LINK_LIBRARIES
             "$<IF:${static},chimaera::client_static,chimaera::client_shared>")

  foreach(module IN ITEMS bdev kv)
    string(TOUPPER "${module}" upper)
    add_library(chimaera::${module}_client INTERFACE IMPORTED GLOBAL)
    set_target_properties(
      chimaera::${module}_client
      PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${arg_${upper}_INCLUDE}"
                 INTERFACE_LINK_LIBRARIES chimaera::client)
  endforeach()

  add_executable(chimaera::program IMPORTED GLOBAL)
  set_property(TARGET chimaera::program PROPERTY IMPORTED_LOCATION "${arg_PROGRAM}")
endfunction()
