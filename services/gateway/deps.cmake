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
# The console as it lies in its folder, and the two libraries that its modules import from vendor/.
set(console_folder ${CMAKE_SOURCE_DIR}/services/gateway/console)
set(npm ${CMAKE_SOURCE_DIR}/tools/npm/node_modules)
set(preact ${npm}/htm/preact/standalone.module.js)
set(uplot ${npm}/uplot/dist/uPlot.esm.js ${npm}/uplot/dist/uPlot.min.css)
file(GLOB_RECURSE console CONFIGURE_DEPENDS ${console_folder}/*)
add_custom_command(OUTPUT ${static}/console.stamp
  COMMAND ${CMAKE_COMMAND} -E make_directory ${static}/vendor
  COMMAND ${CMAKE_COMMAND} -E copy_directory ${console_folder} ${static}
  COMMAND ${CMAKE_COMMAND} -E copy ${preact} ${static}/vendor/preact.js
  COMMAND ${CMAKE_COMMAND} -E copy ${npm}/uplot/dist/uPlot.esm.js ${static}/vendor/uplot.js
  COMMAND ${CMAKE_COMMAND} -E copy ${npm}/uplot/dist/uPlot.min.css ${static}/vendor/uplot.css
  COMMAND ${CMAKE_COMMAND} -E touch ${static}/console.stamp
  DEPENDS ${console} ${preact} ${uplot} VERBATIM)
add_custom_target(crm_console DEPENDS ${static}/console.stamp)
# Whoever builds the gateway gets its pages.
cmake_language(DEFER CALL add_dependencies gateway crm_docs crm_console)
