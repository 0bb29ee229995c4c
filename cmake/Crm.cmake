# Three functions; each finds its sources by folder, so that a new file touches no CMake.

# crm_library(base DEPS ...): common/<name>/*.cc as crm_<name>.
function(crm_library name)
  cmake_parse_arguments(ARG "" "" "DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/common/${name}/*.cc)
  if(sources)
    add_library(crm_${name} STATIC ${sources})
    set_target_properties(crm_${name} PROPERTIES UNITY_BUILD ${CRM_UNITY} UNITY_BUILD_BATCH_SIZE 0)
    target_link_libraries(crm_${name} PUBLIC crm_flags ${ARG_DEPS})
  else()
    add_library(crm_${name} INTERFACE)
    target_link_libraries(crm_${name} INTERFACE crm_flags ${ARG_DEPS})
  endif()
endfunction()

# crm_service(contact): services/<name> as the object library crm_<name>_service and the binary <name>.
# sql/*.sql become constants in the generated header services/<name>/sql.h.
function(crm_service name)
  cmake_parse_arguments(ARG "" "" "DEPS" ${ARGN})
  set(dir ${CMAKE_SOURCE_DIR}/services/${name})
  file(GLOB sources CONFIGURE_DEPENDS ${dir}/*.cc ${dir}/handlers/*.cc ${dir}/rules/*.cc ${dir}/consumers/*.cc ${dir}/jobs/*.cc)
  list(REMOVE_ITEM sources ${dir}/main.cc)
  file(GLOB sql CONFIGURE_DEPENDS ${dir}/sql/*.sql)
  set(header ${CMAKE_BINARY_DIR}/gen/services/${name}/sql.h)
  add_custom_command(OUTPUT ${header}
    COMMAND ${CMAKE_COMMAND} -DNAME=${name} -DDIR=${dir}/sql -DOUT=${header} -P ${CMAKE_SOURCE_DIR}/cmake/EmbedSql.cmake
    DEPENDS ${sql} ${CMAKE_SOURCE_DIR}/cmake/EmbedSql.cmake VERBATIM)
  add_custom_target(${name}_sql DEPENDS ${header})
  add_library(crm_${name}_service STATIC ${sources})
  add_dependencies(crm_${name}_service ${name}_sql)
  set_target_properties(crm_${name}_service PROPERTIES UNITY_BUILD ${CRM_UNITY} UNITY_BUILD_BATCH_SIZE 0)
  target_link_libraries(crm_${name}_service PUBLIC crm_app ${ARG_DEPS})
  add_executable(${name} ${dir}/main.cc)
  target_link_libraries(${name} PRIVATE crm_${name}_service)
  # Finds its library in the build and, unpacked anywhere, in lib/ beside bin/ (tools/crm package).
  set_target_properties(${name} PROPERTIES BUILD_RPATH "\$ORIGIN/../lib" BUILD_RPATH_USE_ORIGIN ON)
  if(NOT CRM_SANITIZE) # sanitizers have allocators of their own
    target_link_libraries(${name} PRIVATE ${JEMALLOC_LIBRARY})
  endif()
endfunction()

# crm_test(name SOURCES... DEPS ... LABELS ...): one GoogleTest binary, registered with ctest as a whole.
function(crm_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPS;LABELS" ${ARGN})
  if(NOT ARG_SOURCES)
    return()
  endif()
  add_executable(${name} ${ARG_SOURCES})
  set_target_properties(${name} PROPERTIES UNITY_BUILD ${CRM_UNITY} UNITY_BUILD_BATCH_SIZE 0)
  target_link_libraries(${name} PRIVATE crm_flags ${ARG_DEPS} gtest gmock gtest_main Threads::Threads)
  add_test(NAME ${name} COMMAND ${CRM_TEST_LAUNCHER} $<TARGET_FILE:${name}>)
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  if(CRM_SANITIZE)
    math(EXPR ARG_TIMEOUT "${ARG_TIMEOUT} * 4") # ThreadSanitizer: 5 to 15 times slower
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT} SKIP_RETURN_CODE 77)
endfunction()
