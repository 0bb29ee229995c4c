# What every target of ours is compiled with.
add_library(crm_flags INTERFACE)
target_compile_options(crm_flags INTERFACE -Wall -Wextra -Wno-missing-field-initializers -Werror=return-type -fno-omit-frame-pointer)
target_include_directories(crm_flags INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/gen)
if(CRM_FAILPOINTS)
  target_compile_definitions(crm_flags INTERFACE CRM_FAILPOINTS=1)
endif()

if(CRM_SANITIZE)
  add_compile_options(-fsanitize=${CRM_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${CRM_SANITIZE})
endif()
if(CRM_SANITIZE STREQUAL thread)
  # Protobuf's headers lay maps out differently when they see this macro, and Debian's library was compiled without it. The
  # standard library, which is headers, still has to know.
  add_compile_options(-U__SANITIZE_THREAD__ -D_GLIBCXX_TSAN=1)
  # Asio's fences order nothing that its locks do not order too; ThreadSanitizer, which does not know fences, sees the locks.
  add_compile_options(-Wno-tsan)
endif()

# The fuzzers: our own code is instrumented, the generated messages and other people's libraries are not.
if(CRM_FUZZ STREQUAL libfuzzer)
  # clang 14 cannot check the types of function pointers in coroutines; RapidJSON adds to null pointers.
  target_compile_options(crm_flags INTERFACE -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize=function,pointer-overflow
    -fno-sanitize-recover=all)
  target_link_options(crm_flags INTERFACE -fsanitize=address,undefined)
elseif(CRM_FUZZ STREQUAL coverage)
  target_compile_options(crm_flags INTERFACE -fprofile-instr-generate -fcoverage-mapping)
  target_link_options(crm_flags INTERFACE -fprofile-instr-generate)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL Clang)
  add_compile_options(-Wno-unknown-warning-option)
endif()

# Two diagnostics of g++ 12 that misfire: on awaitables held in structs, and on lambdas in coroutine frames of unity builds.
add_compile_options(-Wno-mismatched-new-delete -Wno-subobject-linkage)

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()
