# Every library that we use, once. Debian 12's packages; `tools/crm deps` installs them.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(Protobuf REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(ICU REQUIRED COMPONENTS i18n uc data)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(prometheus-cpp REQUIRED COMPONENTS core)
pkg_check_modules(grpc REQUIRED IMPORTED_TARGET grpc++)  # the tests speak to our servers with it
pkg_check_modules(nghttp2 REQUIRED IMPORTED_TARGET libnghttp2)
pkg_check_modules(absl REQUIRED IMPORTED_TARGET absl_status absl_statusor absl_strings absl_time absl_flat_hash_map absl_flat_hash_set absl_hash)
pkg_check_modules(re2 REQUIRED IMPORTED_TARGET re2)
pkg_check_modules(pq REQUIRED IMPORTED_TARGET libpq)
pkg_check_modules(pqxx REQUIRED IMPORTED_TARGET libpqxx)
pkg_check_modules(hiredis REQUIRED IMPORTED_TARGET hiredis)
pkg_check_modules(sodium REQUIRED IMPORTED_TARGET libsodium)
pkg_check_modules(curl REQUIRED IMPORTED_TARGET libcurl)
find_library(DATE_TZ_LIBRARY date-tz REQUIRED)
# Debian's redis-server brings the run-time library; malloc and free are a third of a list without it (docs/PERFORMANCE.md).
find_library(JEMALLOC_LIBRARY NAMES jemalloc libjemalloc.so.2 REQUIRED)

# Boost 1.81 is used for its headers alone (Asio, Beast, Multiprecision).
find_path(BOOST_INCLUDE boost/asio/awaitable.hpp REQUIRED)

# Debian's libphonenumber-dev insists on Boost 1.74's development packages, which exclude 1.81's: `tools/crm deps`
# unpacks its headers here, and the run-time library is the ordinary package.
set(CRM_DEPS ${CMAKE_SOURCE_DIR}/build/deps CACHE PATH "Where tools/crm deps unpacks what cannot be installed beside the rest")
find_path(PHONENUMBERS_INCLUDE phonenumbers/phonenumberutil.h PATHS ${CRM_DEPS}/usr/include REQUIRED)
target_include_directories(crm_flags SYSTEM INTERFACE ${PHONENUMBERS_INCLUDE})
find_library(PHONENUMBERS_LIBRARY NAMES phonenumber libphonenumber.so.8 REQUIRED)

# Google's and buf's public protos, from npm packages pinned in tools/npm/package-lock.json.
set(GOOGLE_PROTOS ${CMAKE_SOURCE_DIR}/tools/npm/node_modules/google-proto-files)
set(VALIDATE_PROTOS ${CRM_DEPS}/protos)
foreach(needed ${GOOGLE_PROTOS}/google/api/http.proto ${VALIDATE_PROTOS}/buf/validate/validate.proto)
  if(NOT EXISTS ${needed})
    message(FATAL_ERROR "${needed} is missing: run `tools/crm deps` first.")
  endif()
endforeach()
