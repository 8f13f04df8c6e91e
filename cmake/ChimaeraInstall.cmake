# The contents of an installation: the program, libraries, headers, the project's modules, and the
# package for find_package(chimaera). Nothing in it contains the prefix, so it can be moved.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

foreach(kind IN ITEMS BIN LIB INCLUDE DATA)
  if(IS_ABSOLUTE "${CMAKE_INSTALL_${kind}DIR}")
    message(FATAL_ERROR "CMAKE_INSTALL_${kind}DIR is ${CMAKE_INSTALL_${kind}DIR}: make it relative to "
                        "the prefix, so that the installed tree can be moved")
  endif()
endforeach()

set(_chimaera_package "${CMAKE_INSTALL_LIBDIR}/cmake/chimaera")

install(PROGRAMS "${_chimaera_release}/chimaera" DESTINATION "${CMAKE_INSTALL_BINDIR}"
        COMPONENT runtime)

# The program generates its own manual pages and completion scripts. The code runs at install time,
# with the prefix of that time.
set(_chimaera_program "${_chimaera_release}/chimaera")
install(
  CODE "
  set(share \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DATADIR}\")
  execute_process(COMMAND \"${_chimaera_program}\" man --out \"\${share}/man/man1\"
                  COMMAND_ERROR_IS_FATAL ANY)
  foreach(script IN ITEMS bash:bash-completion/completions/chimaera zsh:zsh/site-functions/_chimaera
                          fish:fish/vendor_completions.d/chimaera.fish)
    string(REPLACE \":\" \";\" script \"\${script}\")
    list(GET script 0 shell)
    list(GET script 1 file)
    execute_process(COMMAND \"${_chimaera_program}\" completion \${shell} OUTPUT_VARIABLE text
                    COMMAND_ERROR_IS_FATAL ANY)
    file(WRITE \"\${share}/\${file}\" \"\${text}\")
  endforeach()"
  COMPONENT runtime)

# The documents as they are, and as the site that `make docs` has built, if it has.
set(_chimaera_doc "${CMAKE_INSTALL_DATADIR}/doc/chimaera")
install(FILES "${PROJECT_SOURCE_DIR}/README.md" "${PROJECT_SOURCE_DIR}/CHANGELOG.md"
              "${PROJECT_SOURCE_DIR}/SECURITY.md" "${PROJECT_SOURCE_DIR}/LICENSE"
        DESTINATION "${_chimaera_doc}" COMPONENT documentation)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/docs" DESTINATION "${_chimaera_doc}" COMPONENT documentation
        PATTERN examples EXCLUDE
        PATTERN SUMMARY.md EXCLUDE)
install(DIRECTORY "${PROJECT_BINARY_DIR}/site/html" DESTINATION "${_chimaera_doc}"
        COMPONENT documentation OPTIONAL)

# The JSON Schemas of the two YAML files, for editors.
install(FILES "${PROJECT_SOURCE_DIR}/src/repo/schema/chimaera_repo.schema.json"
              "${PROJECT_SOURCE_DIR}/src/repo/schema/chimaera_mod.schema.json"
        DESTINATION "${CMAKE_INSTALL_DATADIR}/chimaera/schema" COMPONENT development)

# cargo names a library without its version; install it under its full name, with the usual two
# symlinks.
foreach(name IN ITEMS client embedded)
  set(file "libchimaera_${name}.so")
  set(full "${file}.${PROJECT_VERSION}")
  set(links "${PROJECT_BINARY_DIR}/install-links")
  file(MAKE_DIRECTORY "${links}")
  file(CREATE_LINK "${full}" "${links}/${file}.${PROJECT_VERSION_MAJOR}" SYMBOLIC)
  file(CREATE_LINK "${file}.${PROJECT_VERSION_MAJOR}" "${links}/${file}" SYMBOLIC)
  install(PROGRAMS "${_chimaera_release}/${file}" DESTINATION "${CMAKE_INSTALL_LIBDIR}"
          RENAME "${full}" COMPONENT runtime)
  install(FILES "${links}/${file}.${PROJECT_VERSION_MAJOR}"
          DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT runtime)
  install(FILES "${links}/${file}" DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT development)
endforeach()
install(FILES "${_chimaera_release}/libchimaera_client.a" DESTINATION "${CMAKE_INSTALL_LIBDIR}"
        COMPONENT development)
foreach(module IN ITEMS libchimaera_bdev_runtime.so libchimaera_bench_runtime.so
                        libchimaera_empty_runtime.so libchimaera_kv_runtime.so)
  install(PROGRAMS "${_chimaera_release}/${module}" DESTINATION "${CHIMAERA_INSTALL_MODULE_DIR}"
          COMPONENT runtime)
endforeach()

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        COMPONENT development)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/rust_chimods/bdev/include/"
                  "${PROJECT_SOURCE_DIR}/rust_chimods/bdev/autogen/"
                  "${PROJECT_SOURCE_DIR}/rust_chimods/kv/include/"
                  "${PROJECT_SOURCE_DIR}/rust_chimods/kv/autogen/"
        DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/chimaera_chimods" COMPONENT development
        FILES_MATCHING PATTERN "*.h")

# The crates that Rust modules and clients depend on, by path: the workspace without the members
# that nothing else needs. The program finds them relative to itself.
set(_chimaera_crate "${CMAKE_INSTALL_DATADIR}/chimaera/crate")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/Cargo.toml")
file(READ "${PROJECT_SOURCE_DIR}/Cargo.toml" _chimaera_manifest)
string(REGEX REPLACE
       "\n *\"(cpp_chimods|demo|docs|tests|src/cli|src/client/c|src/runtime/c)(/[^\"\n]*)?\"," ""
       _chimaera_manifest "${_chimaera_manifest}")
file(WRITE "${PROJECT_BINARY_DIR}/package/Cargo.toml" "${_chimaera_manifest}")
install(FILES "${PROJECT_BINARY_DIR}/package/Cargo.toml" "${PROJECT_SOURCE_DIR}/build.rs"
              "${PROJECT_SOURCE_DIR}/LICENSE"
        DESTINATION "${_chimaera_crate}" COMPONENT development)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/rust_chimods"
        DESTINATION "${_chimaera_crate}" COMPONENT development
        REGEX "/src/(cli|client/c|runtime/c)$" EXCLUDE
        PATTERN tests EXCLUDE)

configure_package_config_file(
  "${PROJECT_SOURCE_DIR}/cmake/chimaeraConfig.cmake.in"
  "${PROJECT_BINARY_DIR}/package/chimaeraConfig.cmake"
  INSTALL_DESTINATION "${_chimaera_package}"
  PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_BINDIR
            CHIMAERA_INSTALL_MODULE_DIR)
# Before 1.0, a minor version may break compatibility.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/package/chimaeraConfigVersion.cmake"
                                 COMPATIBILITY SameMinorVersion)
install(
  FILES "${PROJECT_BINARY_DIR}/package/chimaeraConfig.cmake"
        "${PROJECT_BINARY_DIR}/package/chimaeraConfigVersion.cmake"
        "${PROJECT_SOURCE_DIR}/cmake/ChimaeraModule.cmake"
        "${PROJECT_SOURCE_DIR}/cmake/ChimaeraTargets.cmake"
        "${PROJECT_SOURCE_DIR}/cmake/chimaeraRepoConfig.cmake.in"
        "${PROJECT_SOURCE_DIR}/cmake/chimaera_module.map"
  DESTINATION "${_chimaera_package}" COMPONENT development)

# pkg-config knows the location of its file, and finds the rest relative to it.
file(RELATIVE_PATH _chimaera_up "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
configure_file("${PROJECT_SOURCE_DIR}/cmake/chimaera.pc.in"
               "${PROJECT_BINARY_DIR}/package/chimaera.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/package/chimaera.pc"
        DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig" COMPONENT development)
