# Builds repos of C++ ChiMods.
#
#   chimaera_add_repo([NAMESPACE name] [DEPENDS package...])
#       In the CMakeLists.txt of a repo, before its modules. Reads the namespace and the version from
#       the chimaera_repo.yaml beside it; a NAMESPACE that disagrees is an error. Installing the
#       project also installs the repo, for find_package(<namespace>) to find; DEPENDS lists the
#       packages of other repos whose clients its modules use. For each Rust module, defines
#       <namespace>::<name>_client with its C and C++ headers; cargo builds the module itself.
#
#   chimaera_add_module(name [OWN_DISPATCH]
#       [CLIENT_SOURCES source...] [CLIENT_LIBRARIES target...]
#       [RUNTIME_SOURCES source...] [RUNTIME_LIBRARIES target...])
#       In the directory of a module or in its src. Defines <namespace>::<name>_client and, with
#       RUNTIME_SOURCES, <namespace>::<name>_runtime: the ChiMod lib<namespace>_<name>_runtime.so in
#       CHIMAERA_MODULE_DIR, which can be used as CHI_REPO_PATH. Before anything is compiled, the
#       build brings the module's autogen directory up to date with chimaera_mod.yaml. Each runtime
#       source begins with its <name>_lib_exec.h, so that CHI_TASK_CC knows the methods even if the
#       source does not include it. OWN_DISPATCH is for a module whose source overrides Run and
#       describes methods that have no <Name>Task.
#
#   chimaera_add_test(name target)
#       A test that runs the program `target` against its own daemon, with the modules of this
#       build.
#
#   chimaera::module
#       The compile options of every ChiMod source.

include_guard(GLOBAL)
include(CheckCXXCompilerFlag)
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(CHIMAERA_MODULE_DIR "${CMAKE_BINARY_DIR}/modules"
    CACHE PATH "The directory into which ChiMods are built")
option(CHIMAERA_INSTALL_REPOS "Install the repos of ChiMods with the project" ON)
# The default is where the installed program looks, relative to itself.
set(CHIMAERA_INSTALL_MODULE_DIR "lib/chimaera/modules"
    CACHE STRING "The directory under the prefix into which ChiMods are installed")

# The version of find_package or of the project, whichever applies.
set_property(GLOBAL PROPERTY _chimaera_version "${chimaera_VERSION}")

set(_chimaera_headers "${CMAKE_CURRENT_LIST_DIR}/../include")
if(CHIMAERA_INCLUDE_DIR)
  set(_chimaera_headers "${CHIMAERA_INCLUDE_DIR}")
endif()

if(NOT TARGET chimaera::module)
  add_library(chimaera_module INTERFACE)
  add_library(chimaera::module ALIAS chimaera_module)
  target_include_directories(chimaera_module
                             INTERFACE "$<BUILD_INTERFACE:${_chimaera_headers}>")
  target_compile_features(chimaera_module INTERFACE cxx_std_17)
  target_compile_definitions(chimaera_module INTERFACE CHIMAERA_RUNTIME)
  # GCC makes inline variables unique in the process, even across RTLD_LOCAL. A method runs on a
  # coroutine's stack, and a large frame must not step over its guard page.
  target_compile_options(
    chimaera_module
    INTERFACE -fvisibility=hidden $<$<COMPILE_LANGUAGE:CXX>:-fvisibility-inlines-hidden>
              $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fno-gnu-unique>)
  # A project that enables only C has clients, but no modules.
  get_property(_chimaera_languages GLOBAL PROPERTY ENABLED_LANGUAGES)
  if("CXX" IN_LIST _chimaera_languages)
    check_cxx_compiler_flag(-fstack-clash-protection CHIMAERA_HAS_STACK_CLASH_PROTECTION)
  endif()
  if(CHIMAERA_HAS_STACK_CLASH_PROTECTION)
    target_compile_options(chimaera_module INTERFACE -fstack-clash-protection)
  endif()
endif()

# The value of `key: value` at the start of a line of a YAML file; empty if there is none.
function(_chimaera_yaml_value file key out)
  set(value "")
  file(STRINGS "${file}" lines REGEX "^${key}[ \t]*:")
  if(lines)
    list(GET lines 0 line)
    string(REGEX REPLACE "^${key}[ \t]*:[ \t]*[\"']?([^\"' \t#]*).*$" "\\1" value "${line}")
  endif()
  set(${out} "${value}" PARENT_SCOPE)
endfunction()

function(chimaera_add_repo)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAMESPACE" "DEPENDS")
  set(file "${CMAKE_CURRENT_SOURCE_DIR}/chimaera_repo.yaml")
  if(NOT EXISTS "${file}")
    message(FATAL_ERROR "chimaera_add_repo: ${file} does not exist")
  endif()
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
  _chimaera_yaml_value("${file}" namespace namespace)
  _chimaera_yaml_value("${file}" version version)
  if(NOT namespace MATCHES "^[A-Za-z_][A-Za-z0-9_]*$")
    message(FATAL_ERROR "${file}: the namespace \"${namespace}\" is not a C++ identifier")
  endif()
  # Chimaera builds its own modules without this function, and installs them with its package.
  string(TOLOWER "${namespace}" folded)
  if(folded STREQUAL "chimaera")
    message(FATAL_ERROR "${file}: the namespace \"${namespace}\" belongs to Chimaera's own modules: "
                        "choose another word")
  endif()
  if(arg_NAMESPACE AND NOT arg_NAMESPACE STREQUAL namespace)
    message(FATAL_ERROR "chimaera_add_repo: NAMESPACE is ${arg_NAMESPACE}, but ${file} "
                        "says ${namespace}")
  endif()
  if(NOT version)
    set(version "0.0.0")
  endif()
  # compile_commands.json for editors and other tools, if the project is the repo.
  if(CMAKE_CURRENT_SOURCE_DIR STREQUAL CMAKE_SOURCE_DIR
     AND "${CMAKE_EXPORT_COMPILE_COMMANDS}" STREQUAL "")
    set(CMAKE_EXPORT_COMPILE_COMMANDS ON PARENT_SCOPE)
  endif()
  _chimaera_add_rust_clients("${namespace}")
  set(CHIMAERA_REPO_NAMESPACE "${namespace}" PARENT_SCOPE)
  set(CHIMAERA_REPO_VERSION "${version}" PARENT_SCOPE)
  # At the end of the directory, all modules are known.
  if(CHIMAERA_INSTALL_REPOS)
    cmake_language(EVAL CODE "cmake_language(DEFER CALL _chimaera_install_repo \
                              [[${namespace}]] [[${version}]] [[${arg_DEPENDS}]])")
  endif()
endfunction()

# Installs the package of a repo, if it has modules.
function(_chimaera_install_repo namespace version depends)
  get_property(has_modules GLOBAL PROPERTY _chimaera_modules_of_${namespace})
  if(NOT has_modules)
    return()
  endif()
  get_property(chimaera GLOBAL PROPERTY _chimaera_version)
  string(REGEX MATCH "^[0-9]+\\.[0-9]+" chimaera "${chimaera}")
  set(dependencies "")
  foreach(package IN LISTS depends)
    string(
      APPEND
      dependencies
      "get_property(_chimaera_is_here GLOBAL PROPERTY _chimaera_modules_of_${package})\n"
      "if(NOT _chimaera_is_here)\n  find_dependency(${package})\nendif()\n")
  endforeach()
  set(destination "${CMAKE_INSTALL_LIBDIR}/cmake/${namespace}")
  set(built "${CMAKE_CURRENT_BINARY_DIR}/${namespace}-package")
  configure_package_config_file("${CMAKE_CURRENT_FUNCTION_LIST_DIR}/chimaeraRepoConfig.cmake.in"
                                "${built}/${namespace}Config.cmake"
                                INSTALL_DESTINATION "${destination}")
  write_basic_package_version_file("${built}/${namespace}ConfigVersion.cmake" VERSION "${version}"
                                   COMPATIBILITY SameMinorVersion)
  install(FILES "${built}/${namespace}Config.cmake" "${built}/${namespace}ConfigVersion.cmake"
          DESTINATION "${destination}" COMPONENT development)
  install(EXPORT ${namespace}Targets NAMESPACE ${namespace}:: DESTINATION "${destination}"
          COMPONENT development)
endfunction()

# Turns `target` into a ChiMod.
function(_chimaera_finish_runtime target directory)
  # Not a variable of this file: a project that adds this one as a subdirectory would not see it.
  set(map "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/chimaera_module.map")
  target_link_libraries(${target} PRIVATE chimaera::module)
  target_link_options(${target} PRIVATE "LINKER:--version-script=${map}")
  if(NOT CHIMAERA_SANITIZE)
    target_link_options(${target} PRIVATE "LINKER:--no-undefined")
  endif()
  set_target_properties(
    ${target}
    PROPERTIES LIBRARY_OUTPUT_DIRECTORY "${directory}"
               LINK_DEPENDS "${map}"
               POSITION_INDEPENDENT_CODE ON)
endfunction()

# Brings the generated files of a module up to date before its targets are built. The files are not
# outputs of the command, because then `clean` would remove them. But Ninja checks all files before
# it starts, so it would compile their includers only in the next build. Therefore an edit of the
# YAML reconfigures the project, which writes the files; if there is no program yet, the build
# writes them. The build also reports problems.
function(_chimaera_refresh namespace name directory)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${directory}/chimaera_mod.yaml")
  get_target_property(program chimaera::program IMPORTED_LOCATION)
  # A new program may generate different files, so it reconfigures too, unless this build makes the
  # program: Ninja would look for it before doing anything else.
  if(NOT TARGET chimaera_cargo)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${program}")
  endif()
  if(EXISTS "${program}")
    execute_process(COMMAND "${program}" repo refresh "${directory}" ERROR_QUIET)
  endif()
  set(stamp "${CMAKE_CURRENT_BINARY_DIR}/${namespace}_${name}_refreshed")
  get_filename_component(repo "${directory}" DIRECTORY)
  file(GLOB generated CONFIGURE_DEPENDS "${directory}/autogen/*")
  add_custom_command(
    OUTPUT "${stamp}"
    COMMAND "$<TARGET_FILE:chimaera::program>" repo refresh "${directory}"
    COMMAND "${CMAKE_COMMAND}" -E touch "${stamp}"
    DEPENDS "${directory}/chimaera_mod.yaml" "${repo}/chimaera_repo.yaml" ${generated}
            "$<TARGET_FILE:chimaera::program>"
    COMMENT "Refreshing the generated code of ${namespace}:${name}"
    VERBATIM)
  add_custom_target(${namespace}_${name}_refresh DEPENDS "${stamp}")
  foreach(target IN ITEMS ${ARGN})
    add_dependencies(${target} ${namespace}_${name}_refresh)
  endforeach()
endfunction()

# Creates the client of a module: a library if it has sources, else only its headers.
function(_chimaera_add_client namespace name directory sources libraries)
  set(includes "${directory}/include" "${directory}/autogen")

  set(client ${namespace}_${name}_client)
  if(sources)
    # Shared, so that an application and all modules that use it share its globals.
    add_library(${client} SHARED ${sources})
    set_target_properties(${client} PROPERTIES CXX_VISIBILITY_PRESET hidden
                                               VISIBILITY_INLINES_HIDDEN ON)
    set(scope PUBLIC)
  else()
    add_library(${client} INTERFACE)
    set(scope INTERFACE)
  endif()
  add_library(${namespace}::${name}_client ALIAS ${client})
  foreach(include IN LISTS includes)
    target_include_directories(${client} ${scope} "$<BUILD_INTERFACE:${include}>")
    if(CHIMAERA_INSTALL_REPOS AND (EXISTS "${include}" OR include MATCHES "/autogen$"))
      install(DIRECTORY "${include}/" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/${namespace}_chimods"
              COMPONENT development FILES_MATCHING PATTERN "*.h" PATTERN "*_lib_exec.h" EXCLUDE)
    endif()
  endforeach()
  target_include_directories(
    ${client} ${scope} "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/${namespace}_chimods>")
  target_link_libraries(${client} ${scope} chimaera::client ${libraries})
  set_target_properties(
    ${client} PROPERTIES EXPORT_NAME ${name}_client INSTALL_RPATH "$ORIGIN"
                         INSTALL_RPATH_USE_LINK_PATH ON)
  set_property(GLOBAL PROPERTY _chimaera_modules_of_${namespace} TRUE)
  if(CHIMAERA_INSTALL_REPOS)
    install(TARGETS ${client} EXPORT ${namespace}Targets
            LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT runtime)
  endif()
endfunction()

# Creates the clients of a repo's Rust modules. They have no CMakeLists.txt of their own, because
# that would mark them as C++ modules.
function(_chimaera_add_rust_clients namespace)
  file(GLOB files CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*/chimaera_mod.yaml")
  foreach(file IN LISTS files)
    get_filename_component(directory "${file}" DIRECTORY)
    if(EXISTS "${directory}/CMakeLists.txt" OR EXISTS "${directory}/src/CMakeLists.txt")
      continue()
    endif()
    _chimaera_yaml_value("${file}" name name)
    if(NOT name)
      get_filename_component(name "${directory}" NAME)
    endif()
    _chimaera_add_client(${namespace} ${name} "${directory}" "" "")
    _chimaera_refresh(${namespace} ${name} "${directory}" ${namespace}_${name}_client)
  endforeach()
endfunction()

function(chimaera_add_test name target)
  string(SHA1 hash "${CMAKE_CURRENT_BINARY_DIR}")
  string(SUBSTRING "${hash}" 0 8 hash)
  set(instance "test-${name}-${hash}")
  set(program "$<TARGET_FILE:chimaera::program>" --name "${instance}")
  add_test(NAME ${name}_daemon_starts COMMAND ${program} start --daemon --private --modules
                                              "${CHIMAERA_MODULE_DIR}")
  add_test(NAME ${name} COMMAND ${target})
  add_test(NAME ${name}_daemon_stops COMMAND ${program} stop)
  set_tests_properties(${name}_daemon_starts PROPERTIES FIXTURES_SETUP ${instance})
  set_tests_properties(${name}_daemon_stops PROPERTIES FIXTURES_CLEANUP ${instance})
  set_tests_properties(${name} PROPERTIES FIXTURES_REQUIRED ${instance}
                                          ENVIRONMENT "CHI_INSTANCE=${instance}" TIMEOUT 60)
endfunction()

function(chimaera_add_module name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "OWN_DISPATCH" ""
                        "CLIENT_SOURCES;CLIENT_LIBRARIES;RUNTIME_SOURCES;RUNTIME_LIBRARIES")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "chimaera_add_module(${name}): unknown arguments: ${arg_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT CHIMAERA_REPO_NAMESPACE)
    message(FATAL_ERROR "chimaera_add_module(${name}): call chimaera_add_repo first")
  endif()
  if(NOT DEFINED CHIMAERA_HAS_STACK_CLASH_PROTECTION)
    message(FATAL_ERROR "chimaera_add_module(${name}): enable the language CXX in the project "
                        "before it finds Chimaera")
  endif()
  set(directory "${CMAKE_CURRENT_SOURCE_DIR}")
  if(NOT EXISTS "${directory}/chimaera_mod.yaml")
    get_filename_component(directory "${directory}" DIRECTORY)
  endif()
  if(NOT EXISTS "${directory}/chimaera_mod.yaml")
    message(FATAL_ERROR "chimaera_add_module(${name}): no chimaera_mod.yaml in "
                        "${CMAKE_CURRENT_SOURCE_DIR} or the directory above it")
  endif()
  set(namespace "${CHIMAERA_REPO_NAMESPACE}")
  _chimaera_add_client(${namespace} ${name} "${directory}" "${arg_CLIENT_SOURCES}"
                       "${arg_CLIENT_LIBRARIES}")
  set(client ${namespace}_${name}_client)

  set(runtime "")
  if(arg_RUNTIME_SOURCES)
    set(runtime ${namespace}_${name}_runtime)
    add_library(${runtime} SHARED ${arg_RUNTIME_SOURCES})
    add_library(${namespace}::${name}_runtime ALIAS ${runtime})
    target_include_directories(${runtime} PRIVATE "${directory}/include" "${directory}/autogen")
    target_compile_definitions(
      ${runtime} PRIVATE CHI_MODULE_NAMESPACE=${namespace}
                         CHI_MODULE_VERSION="${CHIMAERA_REPO_VERSION}")
    if(NOT arg_OWN_DISPATCH)
      target_compile_options(
        ${runtime} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:SHELL:-include ${name}_lib_exec.h>")
    endif()
    target_link_libraries(${runtime} PRIVATE ${arg_RUNTIME_LIBRARIES})
    _chimaera_finish_runtime(${runtime} "${CHIMAERA_MODULE_DIR}")
    # Libraries that the client links are in the library directory, relative to the module's
    # directory; or, if they have a prefix of their own, where they were found.
    file(RELATIVE_PATH up "/${CHIMAERA_INSTALL_MODULE_DIR}" "/${CMAKE_INSTALL_LIBDIR}")
    set_target_properties(
      ${runtime} PROPERTIES EXPORT_NAME ${name}_runtime INSTALL_RPATH "$ORIGIN/${up}"
                            INSTALL_RPATH_USE_LINK_PATH ON)
    if(CHIMAERA_INSTALL_REPOS)
      install(TARGETS ${runtime} EXPORT ${namespace}Targets
              LIBRARY DESTINATION "${CHIMAERA_INSTALL_MODULE_DIR}" COMPONENT runtime)
    endif()
  endif()
  _chimaera_refresh(${namespace} ${name} "${directory}" ${client} ${runtime})
endfunction()
