pkg_check_modules(ical REQUIRED IMPORTED_TARGET libical)
set(deps PkgConfig::ical ICU::i18n ICU::uc)
