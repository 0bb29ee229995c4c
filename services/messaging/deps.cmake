pkg_check_modules(gmime REQUIRED IMPORTED_TARGET gmime-3.0)
pkg_check_modules(xml2 REQUIRED IMPORTED_TARGET libxml-2.0)
pkg_check_modules(magic REQUIRED IMPORTED_TARGET libmagic)
set(deps PkgConfig::gmime PkgConfig::magic PkgConfig::xml2 PkgConfig::curl PkgConfig::sodium ICU::i18n ICU::uc)
