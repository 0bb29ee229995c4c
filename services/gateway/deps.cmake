# gzip for answers.
find_package(ZLIB REQUIRED)
set(deps ZLIB::ZLIB)

# The pages that the gateway serves, with what they need of npm's packages, in one folder: static/ beside bin/.
set(static ${CMAKE_BINARY_DIR}/static)
set(swagger ${CMAKE_SOURCE_DIR}/tools/npm/node_modules/swagger-ui-dist)
set(docs
  ${CMAKE_SOURCE_DIR}/services/gateway/docs/index.html
  ${CMAKE_SOURCE_DIR}/services/gateway/docs/docs.css
  ${CMAKE_SOURCE_DIR}/services/gateway/docs/docs.js
  ${swagger}/swagger-ui.css
  ${swagger}/swagger-ui-bundle.js
  ${swagger}/favicon-32x32.png)
add_custom_command(OUTPUT ${static}/docs.stamp
  COMMAND ${CMAKE_COMMAND} -E make_directory ${static}/docs
  COMMAND ${CMAKE_COMMAND} -E copy ${docs} ${static}/docs
  COMMAND ${CMAKE_COMMAND} -E touch ${static}/docs.stamp
  DEPENDS ${docs} VERBATIM)
add_custom_target(crm_docs DEPENDS ${static}/docs.stamp)
# Whoever builds the gateway gets its pages.
cmake_language(DEFER CALL add_dependencies gateway crm_docs)
