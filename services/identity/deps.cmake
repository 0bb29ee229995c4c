set(deps PkgConfig::sodium)
