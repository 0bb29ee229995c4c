# gzip for answers.
find_package(ZLIB REQUIRED)
set(deps ZLIB::ZLIB)
